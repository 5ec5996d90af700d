"""Slices on a device that gives the same bits each time, and what a step of training takes of them.

Shapes: N slices, B items of a batch, V volumes (one a patient), H = W pixels. All slices stay on the device as uint8;
drawing by weight and scaling happen there, and no step waits for the host.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from stages.lgg.scans.intensity import Brightness
from stages.lgg.unet.augment import scale_intensity

Precision = Literal["float32", "tfloat32", "bfloat16"]
"""Of convolutions; weights and losses are float32 always. tfloat32 is float32 but on NVIDIA GPUs since Ampere."""


class Slices(NamedTuple):
    """Slices on the device."""

    images: Tensor  # N H W 3 uint8
    masks: Tensor  # N H W uint8 in {0, 1}
    volumes: Tensor  # N int64, the index of each slice's patient among the V of this set
    brightness: Tensor | None = None  # V 2 3 float32, mean and deviation of each channel; None to scale by slice


def as_brightness(found: Brightness, device: torch.device) -> Tensor:
    """V 2 3 float32, on the device."""
    return torch.from_numpy(np.stack(found, axis=-2)).float().to(device)


def make_exact(threads: int, precision: Precision = "float32") -> None:
    """The same bits each time on one device, and products of float32 unless `precision` allows a shorter one."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when CUDA starts
    torch.set_deterministic_debug_mode("error")  # `use_deterministic_algorithms` imports a compiler first, for seconds
    # Filling memory before it is written costs time, and nothing here reads what it did not write.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = precision == "tfloat32"
    torch.set_num_threads(threads)


def steps_per_epoch(slices: int, batch: int) -> int:
    """How many batches an epoch has; the last one may be shorter."""
    return math.ceil(slices / batch)


@contextmanager
def seeded(seed: int, epoch: int, device: torch.device) -> Iterator[Generator]:
    """A generator on the device; torch's own, which initial weights and dropout draw from, is seeded too inside."""
    words = np.random.SeedSequence([seed, epoch]).generate_state(2, np.uint64)
    own, torchs = (int(word) >> 1 for word in words)  # torch takes 63 bits
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(torchs)
        yield Generator(device).manual_seed(own)


def draw(cumulative: Tensor, generator: Generator, count: int | None = None) -> Tensor:
    """`count` slices by weight and with replacement, int64, of the weights' running sums (N float64); N by default.

    In float64 and without `torch.multinomial`, whose probabilities are float32 and end at 2^24 categories.
    """
    points = torch.rand(count or len(cumulative), generator=generator, device=cumulative.device, dtype=torch.float64)
    return torch.searchsorted(cumulative, points * cumulative[-1], right=True).clamp_(max=len(cumulative) - 1)


def batch(slices: Slices, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Images B 3 H W, channels last in memory as in the arrays, and masks B 1 H W, both float32.

    Images are scaled so that black is 0, as what `augment` lets in from outside; see `centred`.
    """
    images = slices.images[chosen].permute(0, 3, 1, 2)
    if slices.brightness is None:
        images = scale_intensity(images)
    else:
        images = images / slices.brightness[slices.volumes[chosen], 1, :, None, None]
    return images, slices.masks[chosen][:, None].float()


def centred(slices: Slices, chosen: Tensor, images: Tensor) -> Tensor:
    """Images of `batch`, B 3 H W, less the mean of each volume's channels where they are scaled by volume."""
    if slices.brightness is None:
        return images
    mean, deviation = slices.brightness[slices.volumes[chosen]].unbind(1)  # B 3 each
    return images - (mean / deviation)[..., None, None]
