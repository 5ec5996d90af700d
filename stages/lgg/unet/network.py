"""The U-Net of Ronneberger et al. 2015 with the choices that recipes differ in.

Shapes: B items, C channels, H × W pixels; H and W are multiples of 2^(depth − 1).
"""

from itertools import pairwise
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from stages.params import STRICT_KEYS

CHANNELS = 3  # pre-contrast, FLAIR, post-contrast
GROUPS = 8  # of group normalisation


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Network:
    """Architecture of the U-Net."""

    width: Annotated[int, Field(ge=8, le=256, multiple_of=GROUPS)]
    """Channels of the first level; each level down doubles them."""
    depth: Annotated[int, Field(ge=2, le=7)]
    """Levels, the lowest included."""
    norm: Literal["none", "batch", "group"]
    """Normalisation between a convolution and its ReLU; with one, convolutions have no bias."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Probability to drop a value between the two convolutions of a block."""

    @property
    def multiple(self) -> int:
        """Pixels that height and width must be a multiple of, to be halved depth − 1 times."""
        return int(2 ** (self.depth - 1))


class UNet(nn.Module):
    """Per pixel, the logit of tumour."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network
        widths = [network.width * 2**level for level in range(network.depth)]
        self.down = nn.ModuleList(_block(i, o, network) for i, o in pairwise([CHANNELS, *widths]))
        self.pool = nn.MaxPool2d(2)
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in pairwise(widths[::-1]))
        self.up = nn.ModuleList(_block(i, o, network) for i, o in pairwise(widths[::-1]))
        self.last = nn.Conv2d(widths[0], 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        """From images (B 3 H W, scaled to [0, 1]) to logits (B 1 H W)."""
        x, kept = images, []
        for level, block in enumerate(self.down):
            x = block(self.pool(x) if level else x)  # B width·2^level H/2^level W/2^level
            kept.append(x)
        for upsample, block, skip in zip(self.upsample, self.up, reversed(kept[:-1]), strict=True):
            x = block(torch.cat([upsample(x), skip], dim=1))
        logits: Tensor = self.last(x)
        return logits


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
