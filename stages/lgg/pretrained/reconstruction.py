"""Training without masks: the network fills in blocks of a slice that are hidden from it.

It learns what heads look like, and needs nobody to draw a tumour.

Shapes: B items, H = W pixels.
"""

import copy

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from stages.lgg.unet.network import CHANNELS, UNet

BLOCK = 8  # px, the side of a block


def painter(unet: UNet) -> UNet:
    """A copy of `unet` that gives an image, not logits; its last layer is new and draws from torch's generator."""
    copied = copy.deepcopy(unet)
    copied.last = nn.Conv2d(unet.last.in_channels, CHANNELS, 1)
    return copied


def learned(painter: UNet) -> dict[str, Tensor]:
    """What a painter knows and a U-Net can use, by name: all weights but those of the last layer."""
    return {name: value for name, value in painter.state_dict().items() if not name.startswith("last.")}


def hide(images: Tensor, part: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """Images (B 3 H W) with blocks of 8 px set to 0, and where that is (B 1 H W, 1 or 0).

    Each block is hidden with the probability `part`, in all channels. Blocks at the border may be cut.
    """
    height, width = images.shape[2:]
    shape = (len(images), 1, -(-height // BLOCK), -(-width // BLOCK))
    blocks = (torch.rand(shape, generator=generator, device=images.device) < part).float()
    hidden = functional.interpolate(blocks, scale_factor=BLOCK, mode="nearest")[..., :height, :width]
    return images * (1 - hidden), hidden


def hidden_error(painted: Tensor, images: Tensor, hidden: Tensor) -> Tensor:
    """The mean squared error of `painted` (B 3 H W) over the hidden pixels and channels; 0 where none is hidden."""
    squares = ((painted - images).square() * hidden).sum()
    return squares / (CHANNELS * hidden.sum()).clamp(min=1)
