"""Resize images and masks by area, in sums of integers, so exact on any machine.

H px, the side before · S px, the side after
"""

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]


def average(image: Pixels, size: int) -> Pixels:
    """(H H C) to (S S C), S = `size`: each pixel the mean over its area, halves rounded up."""
    area = len(image) ** 2
    return image if len(image) == size else ((_area(image, size) + area // 2) // area).astype(np.uint8)


def majority(mask: Pixels, size: int) -> Pixels:
    """(H H) to (S S), S = `size`, both in {0, 1}: 1 where at least half of a pixel's area is."""
    area = len(mask) ** 2
    return mask if len(mask) == size else (2 * _area(mask, size) >= area).astype(np.uint8)


def _area(pixels: Pixels, size: int) -> NDArray[np.int32]:
    """(H H ...) to (S S ...): sums weighed by area, H² in all.

    They stay below 2^31 up to 2,364 px, more than any image has in an archive that stages.lgg.scans.archive reads.
    """
    rows = _covered(pixels.astype(np.int32), size)
    return _covered(np.ascontiguousarray(rows.swapaxes(0, 1)), size).swapaxes(0, 1)


def _covered(values: NDArray[np.int32], size: int) -> NDArray[np.int32]:
    """(H ...) to (S ...): sums along the first axis, each value weighed by the length of it that is covered.

    Lengths are in 1/S of an original pixel: integers, H for the whole of a resized pixel.
    """
    side = len(values)
    edges = np.arange(size + 1, dtype=np.int32) * side
    starts, ends = edges[:-1], edges[1:]
    sums = np.zeros((size, *values.shape[1:]), np.int32)
    for step in range(side // size + 2):
        pixel = starts // size + step
        lengths = np.minimum(ends, (pixel + 1) * size) - np.maximum(starts, pixel * size)  # below 0 past the end
        weights = np.maximum(lengths, 0).reshape(-1, *[1] * (values.ndim - 1))
        sums += weights * values[np.minimum(pixel, side - 1)]
    return sums
