"""Slices on a device that gives the same bits each time, and what a step of training takes of them.

Shapes: N slices, B items of a batch, V volumes (one a patient), H = W pixels. All slices stay on the device as uint8;
drawing by weight and scaling happen there, and no step waits for the host. Slices that would fill the device stay in
their file, and a thread brings those of the next steps.
"""

import math
import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Literal, NamedTuple

import numpy as np
import psutil
import torch
from torch import Generator, Tensor

from stages.lgg.scans.intensity import Brightness, Pixels
from stages.lgg.unet.augment import scale_intensity

RESIDENT = 0.5  # of the free memory, which slices on the device may take; activations want the rest
AHEAD = 3  # batches out of a file that wait

Numbers = Literal["float32", "tfloat32", "bfloat16"]
Precision = Numbers | Literal["auto"]
"""Of convolutions; weights and losses are float32 always. tfloat32 is float32 but on NVIDIA GPUs since Ampere.
auto is bfloat16 where the device has circuits for it, else float32."""
EMULATED = "note: this processor only imitates bfloat16, which may take ten times as long; precision: auto avoids that"
BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")  # what torch calls the circuits of processors


class Slices(NamedTuple):
    """Slices on the device; or images and masks on the host, as files that are mapped into memory."""

    images: Tensor  # N H W 3 uint8; on the host M H W 3, those of other sets among them
    masks: Tensor  # N H W, or M H W, uint8 in {0, 1}
    volumes: Tensor  # N int64, the index of each slice's patient among the V of this set
    brightness: Tensor | None = None  # V 2 3 float32, mean and deviation of each channel; None to scale by slice
    rows: Tensor | None = None  # N int64, where each of the N slices stands among the M; None on the device


Batch = tuple[Tensor, Tensor]
"""Images B H W 3 and masks B H W on the device, both uint8."""


def fits(size: int, device: torch.device) -> bool:
    """Whether so many bytes of slices leave the device enough memory to train."""
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return size <= free * RESIDENT


def mapped(array: Pixels) -> Tensor:
    """An array of a file, which stays there; nobody may write to it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(array)


def taken(slices: Slices, batches: Sequence[Tensor]) -> Iterator[Batch]:
    """The slices of each of `batches` (B int64 each, on the device) in turn.

    From the host, a thread takes those of the next steps meanwhile, so that a step need not wait for the disk.
    """
    if slices.rows is None:
        for chosen in batches:
            yield slices.images[chosen], slices.masks[chosen]
    elif batches:
        device, sizes = slices.volumes.device, [len(one) for one in batches]
        rows = slices.rows[torch.cat([*batches]).cpu()].split(sizes)
        with ThreadPoolExecutor(1) as reader:
            ahead = deque[Future[Batch]]()
            try:
                for number in range(len(rows)):
                    for wanted in rows[number + len(ahead) : number + AHEAD]:
                        ahead.append(reader.submit(_fetched, slices, wanted, device))
                    yield ahead.popleft().result()
            finally:
                for one in ahead:
                    one.cancel()


def _fetched(slices: Slices, rows: Tensor, device: torch.device) -> Batch:
    images, masks = slices.images[rows], slices.masks[rows]
    if device.type == "cuda":  # out of pinned memory the GPU fetches by itself
        images, masks = (one.pin_memory().to(device, non_blocking=True) for one in (images, masks))
    return images, masks


def as_brightness(found: Brightness, device: torch.device) -> Tensor:
    """V 2 3 float32, on the device."""
    return torch.from_numpy(np.stack(found, axis=-2)).float().to(device)


def own_device() -> torch.device:
    """The first GPU, or the processor where there is none."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def computed_in(precision: Precision, device: torch.device) -> Numbers:
    """What convolutions compute in on this device."""
    if precision == "auto":
        return "bfloat16" if _computes_bfloat16(device) else "float32"
    return precision


def _computes_bfloat16(device: torch.device) -> bool:
    """Other devices put each product together from several steps, and take ten times as long."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities()
    return any(known.get(name, False) for name in BFLOAT16)


def make_exact(threads: int, precision: Precision = "float32") -> None:
    """The same bits each time on one device, and products of float32 unless `precision` allows a shorter one."""
    if precision == "bfloat16" and not _computes_bfloat16(own_device()):
        print(EMULATED, file=sys.stderr)
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


def scaled(slices: Slices, chosen: Tensor, found: Batch) -> tuple[Tensor, Tensor]:
    """Of the `chosen` slices that were `found`: images B 3 H W, channels last in memory, masks B 1 H W, both float32.

    Images are scaled so that black is 0, as what `augment` lets in from outside; see `centred`.
    """
    images = found[0].permute(0, 3, 1, 2)
    if slices.brightness is None:
        images = scale_intensity(images)
    else:
        images = images / slices.brightness[slices.volumes[chosen], 1, :, None, None]
    return images, found[1][:, None].float()


def batch(slices: Slices, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """As `scaled`, of a single batch."""
    return scaled(slices, chosen, next(taken(slices, [chosen])))


def centred(slices: Slices, chosen: Tensor, images: Tensor) -> Tensor:
    """Images of `scaled`, B 3 H W, less the mean of each volume's channels where they are scaled by volume."""
    if slices.brightness is None:
        return images
    mean, deviation = slices.brightness[slices.volumes[chosen]].unbind(1)  # B 3 each
    return images - (mean / deviation)[..., None, None]
