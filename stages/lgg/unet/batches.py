"""Slices on a device that gives the same bits each time, and what a step of training takes of them.

Shapes: N slices, B items of a batch, V volumes (one a patient), H = W pixels. All slices stay on the device as uint8;
drawing by weight and scaling happen there, and no step waits for the host.
"""

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from stages.lgg.unet.augment import scale_intensity


class Slices(NamedTuple):
    """Slices on the device."""

    images: Tensor  # N H W 3 uint8
    masks: Tensor  # N H W uint8 in {0, 1}
    volumes: Tensor  # N int64, the index of each slice's patient among the V of this set


def make_exact(threads: int, *, tf32: bool = False) -> None:
    """The same bits each time on one device, and products of float32 unless `tf32` allows a shorter one."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # cuBLAS reads it when CUDA starts
    torch.use_deterministic_algorithms(True)
    # Filling memory before it is written costs time, and nothing here reads what it did not write.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = tf32
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
    """Images B 3 H W, channels last in memory as in the arrays, and masks B 1 H W, both float32."""
    images = scale_intensity(slices.images[chosen].permute(0, 3, 1, 2))
    return images, slices.masks[chosen][:, None].float()
