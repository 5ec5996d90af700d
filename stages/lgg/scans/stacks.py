"""Patients whose slices are pictures: their grid, then one slice after the other.

H W px
"""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.lgg.layouts.patients import Stack
from stages.lgg.scans.archive import Archive
from stages.lgg.scans.values import MOST_PX, Grid, Mask, Pixels, noting, to_bytes, tumour, window_of_counts

DEPTHS = ("uint8", "uint16")
OPAQUE = {2, 4}  # channels of a picture with transparency


def measure(archive: Archive, stack: Stack, problems: list[str]) -> Grid | None:
    """The grid of the first slice that can be read, which all others must have; None adds to `problems` why."""
    found = list[str]()
    for name in stack.images:
        with noting(found):
            pixels = archive.pixels(name)
            height, width, *channels = opaque(pixels, name).shape
            if channels != [3] or pixels.dtype not in DEPTHS or not 0 < max(height, width) <= MOST_PX:
                raise BadInput(f"{name} is {form(pixels)}, not H×W×3 of uint8 or uint16, up to {MOST_PX} px")
            return Grid(len(stack.images), height, width, stack.spacing_mm, str(pixels.dtype))
    problems += found
    return None


def read(archive: Archive, stack: Stack, grid: Grid, problems: list[str]) -> Iterator[tuple[Pixels, Mask]]:
    """Slices and masks, (H W 3) and (H W), in order; what is bad is left out and added to `problems`."""
    windows = _windows(archive, stack, grid) if grid.kind != "uint8" else None
    tops: dict[int, str] = {}
    for image_name, mask_name in zip(stack.images, stack.masks, strict=True):
        image: Pixels | None = None
        with noting(problems):
            image = _image(archive, image_name, grid)
        with noting(problems):
            mask, top = _mask(archive, mask_name, grid)
            tops.setdefault(top, mask_name)
            if image is not None:
                yield image if windows is None else narrow(image, windows), mask
    if len(tops.keys() - {0}) > 1:
        told = " and ".join(f"{top} in {name}" for top, name in sorted(tops.items()) if top)
        problems.append(f"{stack.patient}: tumour is {told}; write all its masks alike")


def _image(archive: Archive, name: str, grid: Grid) -> NDArray[Any]:
    pixels = opaque(archive.pixels(name), name)
    shape = grid.height, grid.width, 3
    if pixels.shape != shape or pixels.dtype != grid.kind:
        raise BadInput(f"{name} is {form(pixels)}, not {form(np.empty(shape, grid.kind))}")
    return pixels


def _mask(archive: Archive, name: str, grid: Grid) -> tuple[Mask, int]:
    pixels = opaque(archive.pixels(name), name)
    if pixels.ndim == 3:
        if not (pixels == pixels[..., :1]).all():
            raise BadInput(f"{name} is coloured; a mask has one channel, or channels that are alike")
        pixels = pixels[..., 0]
    if pixels.shape != (grid.height, grid.width):
        raise BadInput(f"{name} is {form(pixels)}, not {grid.height}×{grid.width} {pixels.dtype}")
    return tumour(pixels.view(np.uint8) if pixels.dtype == np.bool_ else pixels, name)


def opaque(pixels: NDArray[Any], name: str) -> NDArray[Any]:
    """Without a last channel of transparency, where nothing is transparent.

    Raises:
        BadInput: something is; the message names `name`.
    """
    if pixels.ndim != 3 or pixels.shape[2] not in OPAQUE:
        return pixels
    if (pixels[..., -1] != pixels[..., -1].max()).any():
        raise BadInput(f"{name} has {pixels.shape[2]} channels, the last no even transparency; save it without that")
    return pixels[..., :-1] if pixels.shape[2] == 4 else pixels[..., 0]


def _windows(archive: Archive, stack: Stack, grid: Grid) -> list[tuple[float, float]]:
    """Of each channel, over all slices that can be read; `read` names the others."""
    counts = np.zeros((3, 2**16), np.int64)
    for name in stack.images:
        with suppress(BadInput):
            image = _image(archive, name, grid)
            for channel in range(3):
                counts[channel] += np.bincount(image[..., channel].ravel(), minlength=2**16)
    return [window_of_counts(channel) for channel in counts]


def narrow(image: NDArray[Any], windows: list[tuple[float, float]]) -> Pixels:
    """(H W 3) in 8 bits, each channel by its window."""
    return np.stack([to_bytes(image[..., channel], *window) for channel, window in enumerate(windows)], axis=-1)


def form(pixels: NDArray[Any]) -> str:
    """Shape and type, in words."""
    return f"{'×'.join(map(str, pixels.shape))} {pixels.dtype}"
