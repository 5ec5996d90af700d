"""From packed slices to what the network sees: scaled intensities and, in training, one random affine map an item.

Intensities may be changed at random too.

Shapes: B items, H = W pixels; images B 3 H W, masks B 1 H W.
"""

import math
from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor
from torch.nn import functional

from stages.params import STRICT_KEYS

Whole = tuple[int, slice]
"""How many items a batch has, and which of them are at hand."""

EPSILON = 1e-5  # a constant image scales to 0, not to NaN


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Augmentation:
    """Ranges of the random maps, of places and of intensities."""

    scale: Annotated[float, Field(ge=0, lt=1)]
    """A slice grows or shrinks by a factor drawn from [1 − scale, 1 + scale]."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)]
    """And turns by an angle drawn from [−rotation_degrees, rotation_degrees]."""
    flip: Annotated[float, Field(ge=0, le=1)]
    """And is mirrored left to right with this probability."""
    intensity: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Each channel, as scaled, is multiplied by 1 ± at most this, and then at most this is added or taken away."""


def scale_intensity(images: Tensor) -> Tensor:
    """(x − min) / (max − min + 1e-5) over all channels of an item: B 3 H W of any type to float32 in [0, 1]."""
    pixels = images.float()
    low, high = pixels.amin((1, 2, 3), keepdim=True), pixels.amax((1, 2, 3), keepdim=True)
    return (pixels - low) / (high - low + EPSILON)


def augment(
    images: Tensor, masks: Tensor, augmentation: Augmentation, generator: Generator, whole: Whole | None = None
) -> tuple[Tensor, Tensor]:
    """Map each image and its mask by the same random scale, rotation and flip.

    If the items are a part of a batch, `whole` says how large that is and which of it they are. It draws for all of it.

    What enters from outside is 0. Images are sampled bilinearly; masks take the nearest pixel and stay binary.
    The whole batch is one `grid_sample` on the device of the images, which must be the generator's.
    """
    maps = _inverse_maps(len(images), augmentation, generator, whole)
    if not len(images):  # of a batch with fewer items than there are processes
        return images, masks
    grid = functional.affine_grid(maps, list(images.shape), align_corners=False)  # B H W 2
    moved = functional.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    moved_masks = functional.grid_sample(masks, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    return moved, moved_masks


def jitter(images: Tensor, augmentation: Augmentation, generator: Generator, whole: Whole | None = None) -> Tensor:
    """Change the intensities of each item's channels at random, B 3 H W; nothing is drawn where nothing changes."""
    if not augmentation.intensity:
        return images
    count, part = whole or (len(images), slice(None))
    draws = torch.rand(2, count, images.shape[1], 1, 1, generator=generator, device=images.device)[:, part]
    factor, shift = augmentation.intensity * (2 * draws - 1)
    changed: Tensor = images * (1 + factor) + shift
    return changed


def _inverse_maps(items: int, augmentation: Augmentation, generator: Generator, whole: Whole | None) -> Tensor:
    """For each item the map from a place in the result to its place in the source, B 2 3."""
    count, part = whole or (items, slice(None))
    draws = torch.rand(3, count, generator=generator, device=generator.device)[:, part]
    factor = 1 + augmentation.scale * (2 * draws[0] - 1)
    angle = math.radians(augmentation.rotation_degrees) * (2 * draws[1] - 1)
    mirror = torch.where(draws[2] < augmentation.flip, -1.0, 1.0)
    cosine, sine, nothing = angle.cos() / factor, angle.sin() / factor, torch.zeros_like(factor)
    return torch.stack(
        [torch.stack([mirror * cosine, mirror * sine, nothing], 1), torch.stack([-sine, cosine, nothing], 1)], 1
    )
