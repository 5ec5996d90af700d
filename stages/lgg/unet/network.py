"""The U-Net of Ronneberger et al. 2015 with the choices that recipes differ in, its way down among them.

Shapes: B items, C channels, H × W pixels; H and W are multiples of 2^(depth − 1).
"""

from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass
from torch import Tensor, nn
from torch.nn import functional

from stages.lgg.unet.resnet import WIDTHS, ResNet
from stages.params import STRICT_KEYS

CHANNELS = 3  # pre-contrast, FLAIR, post-contrast
GROUPS = 8  # of group normalisation


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Network:
    """Architecture of the U-Net. What has a default is younger than the first checkpoints, which do not name it."""

    encoder: Literal["none", "resnet18", "resnet34"] = "none"
    """The way down: blocks of the U-Net's own, or below the first level those of a ResNet."""
    width: Annotated[int, Field(ge=8, le=256, multiple_of=GROUPS)]
    """Channels of the first level; each level down doubles them, or has those of the ResNet."""
    depth: Annotated[int, Field(ge=2, le=7)]
    """Levels, the lowest included."""
    norm: Literal["none", "batch", "group"]
    """Normalisation between a convolution and its ReLU; with one, convolutions have no bias. A ResNet keeps its own."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Probability to drop a value between the two convolutions of a block; a ResNet has no dropout."""
    inserted: Annotated[int, Field(ge=0, le=8)] = 0
    """Residual blocks between the way down and the way up; they start as the identity."""

    @field_validator("depth")
    @classmethod
    def _as_deep_as_the_encoder(cls, depth: int, info: ValidationInfo) -> int:
        if info.data.get("encoder", "none") != "none" and depth > 1 + len(WIDTHS):
            raise ValueError(f"a ResNet has {len(WIDTHS)} levels below the first; give {1 + len(WIDTHS)} or less")
        return depth

    @property
    def multiple(self) -> int:
        """Pixels that height and width must be a multiple of, to be halved depth − 1 times."""
        return int(2 ** (self.depth - 1))

    @property
    def has_batch_norm(self) -> bool:
        """Whether any layer normalises over a batch."""
        return self.norm == "batch" or self.encoder != "none"

    @property
    def widths(self) -> list[int]:
        """Channels of each level, the first one first."""
        if self.encoder == "none":
            return [self.width * 2**level for level in range(self.depth)]
        return [self.width, *WIDTHS[: self.depth - 1]]

    def given(self) -> dict[str, Any]:
        """The values by name, without those that are the default."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name)) != one.default}


class UNet(nn.Module):
    """Per pixel, the logit of tumour."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        widths = network.widths
        self.down = PlainEncoder(network) if network.encoder == "none" else ResNetEncoder(network)
        self.upsample = nn.ModuleList(Upsample(i, o, 2, stride=2) for i, o in pairwise(widths[::-1]))
        self.up = nn.ModuleList(_block(2 * width, width, network) for width in widths[-2::-1])
        self.last = nn.Conv2d(widths[0], 1, 1)
        # Made last, so that the same seed gives all other layers the same first weights.
        self.inserted = nn.Sequential(*(Residual(widths[-1], network.norm) for _ in range(network.inserted)))

    def forward(self, images: Tensor) -> Tensor:
        """From images (B 3 H W, scaled to [0, 1]) to logits (B 1 H W)."""
        *kept, lowest = self.down(images)
        x = self.inserted(lowest)
        for upsample, block, skip in zip(self.upsample, self.up, reversed(kept), strict=True):
            x = block(upsample(x, skip))
        logits: Tensor = self.last(x)
        return logits


class Upsample(nn.ConvTranspose2d):
    """A transposed convolution to twice the size, and what the way down kept of that size beside it."""

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:  # type: ignore[override]
        """From B I H W and B S 2H 2W to B (O + S) 2H 2W."""
        if not self.training:
            return torch.cat([super().forward(x), skip], dim=1)
        # The same as one product of matrices, which takes a CPU less than half the time.
        taps = self.weight.permute(2, 3, 1, 0).flatten(0, 2)  # 4O I
        assert self.bias is not None
        joined: Tensor = _Join.apply(functional.linear(x.permute(0, 2, 3, 1), taps, self.bias.repeat(4)), skip)
        return joined


class _Join(torch.autograd.Function):
    """Four values a pixel become four pixels, and another image comes beside them, each copied once."""

    @staticmethod
    def forward(ctx: Any, taps: Tensor, skip: Tensor) -> Tensor:
        """From B H W 4O and B S 2H 2W to B (O + S) 2H 2W, channels last in memory."""
        items, height, width, ctx.channels = *taps.shape[:3], taps.shape[3] // 4
        both = taps.new_empty(items, 2 * height, 2 * width, ctx.channels + skip.shape[1])
        _as_taps(both[..., : ctx.channels]).copy_(taps.unflatten(3, (2, 2, ctx.channels)))
        both[..., ctx.channels :] = skip.permute(0, 2, 3, 1)
        return both.permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient of each."""
        taps = _as_taps(gradient[:, : ctx.channels].permute(0, 2, 3, 1)).flatten(3)
        return taps, gradient[:, ctx.channels :]


def _as_taps(pixels: Tensor) -> Tensor:
    """B 2H 2W O seen as B H W 2 2 O."""
    seen: Tensor = pixels.unflatten(2, (-1, 2)).unflatten(1, (-1, 2)).permute(0, 1, 3, 2, 4, 5)
    return seen


class PlainEncoder(nn.ModuleList):
    """The way down in blocks of the U-Net's own."""

    def __init__(self, network: Network) -> None:
        super().__init__(_block(i, o, network) for i, o in pairwise([CHANNELS, *network.widths]))

    def forward(self, images: Tensor) -> list[Tensor]:
        """From images (B 3 H W) to what each level holds, the first one first: B widths[k] H/2^k W/2^k."""
        levels: list[Tensor] = []
        for block in self:
            levels.append(block(functional.max_pool2d(levels[-1], 2) if levels else images))
        return levels


class ResNetEncoder(nn.Module):
    """The way down in a ResNet, beside a block at full size, which a ResNet lacks."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        assert network.encoder != "none"
        self.resnet = ResNet(network.encoder, network.depth - 1)
        self.first = _block(CHANNELS, network.width, network)

    def forward(self, images: Tensor) -> list[Tensor]:
        """From images (B 3 H W) to what each level holds, the first one first: B widths[k] H/2^k W/2^k."""
        return [self.first(images), *self.resnet(images)]


class Residual(nn.Module):
    """x + f(x), in which f starts as 0: inserted into a trained network it changes nothing until it trains."""

    def __init__(self, channels: int, norm: str) -> None:
        super().__init__()
        self.inner = nn.Sequential(*_convolution(channels, channels, norm), nn.Conv2d(channels, channels, 1))
        for parameter in self.inner[-1].parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """B C H W to the same."""
        added: Tensor = x + self.inner(x)
        return added


def _block(channels_in: int, channels_out: int, network: Network) -> nn.Sequential:
    layers = [*_convolution(channels_in, channels_out, network.norm)]
    if network.dropout:
        layers.append(nn.Dropout(network.dropout))
    return nn.Sequential(*layers, *_convolution(channels_out, channels_out, network.norm))


def _convolution(channels_in: int, channels_out: int, norm: str) -> list[nn.Module]:
    layers: list[nn.Module] = [nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=norm == "none")]
    if norm == "batch":
        layers.append(nn.BatchNorm2d(channels_out))
    elif norm == "group":
        layers.append(nn.GroupNorm(GROUPS, channels_out))
    return [*layers, nn.ReLU(inplace=True)]
