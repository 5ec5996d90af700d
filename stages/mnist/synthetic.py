"""Digits drawn in code, in whole numbers only: the same bytes on every machine."""

import numpy as np
from numpy.typing import NDArray

from stages.mnist.digits import CLASSES, SIDE, Bytes

UNIT = 256  # drawn in whole 256ths of a pixel
STROKES = (  # of 0 to 9, each one line through these corners: x and y as hexadecimal digits, in a box 8 wide, 12 high
    "40 61 84 88 6b 4c 2b 08 04 21 40",
    "13 50 5c",
    "03 11 40 71 83 76 0c 8c",
    "01 40 71 83 75 46 77 89 7b 4c 0b",
    "6c 60 08 88",
    "80 10 05 44 75 88 7b 4c 0b",
    "70 32 07 0a 2c 6c 8a 88 66 26 08",
    "00 80 3c",
    "46 14 12 40 72 74 46 88 8a 4c 0a 08 46",
    "85 67 27 05 02 20 60 82 85 79 4c",
)
ENLARGED = 380 * np.eye(2, dtype=np.int64)  # the box becomes 12 by 18 px

Integers = NDArray[np.int64]


def draw(count: int, seed: int) -> tuple[Bytes, Bytes]:
    """Draw `count` digits: images N 28 28, and labels N, each class in its turn.

    The bytes are the same on every machine: all is done in whole numbers, with the raw stream of PCG64, which
    numpy promises to keep.
    """
    stream = np.random.PCG64(seed)
    labels = np.arange(count) % CLASSES
    return np.stack([_drawn(STROKES[label], stream) for label in labels]), labels.astype(np.uint8)


def _drawn(strokes: str, stream: np.random.PCG64) -> Bytes:
    """One digit, 28 28: its corners moved, all of it sheared, scaled and shifted, its line thin or thick, in noise."""
    corners = np.array([[int(digit, 16) for digit in corner] for corner in strokes.split()])
    corners = (corners - [4, 6]) * UNIT + _uniform(stream, -140, 140, corners.shape)
    corners = corners @ (ENLARGED + _uniform(stream, -110, 110, (2, 2))) // UNIT
    corners += SIDE * UNIT // 2 + _uniform(stream, -448, 448, (2,))
    radius = _uniform(stream, 230, 500, (1,))
    ink = np.clip((radius**2 - _squared_distances(corners)) * 255 // (radius * UNIT), 0, 255)
    brightness = _uniform(stream, 140, UNIT, (1,))
    noisy = ink * brightness // UNIT + _uniform(stream, 0, 40, ink.shape)
    return np.asarray(np.minimum(noisy, 255), np.uint8)


def _squared_distances(corners: Integers) -> Integers:
    """From each pixel's centre to the nearest point of the line through `corners`, in UNIT², 28 28."""
    centres = np.arange(SIDE) * UNIT + UNIT // 2
    pixels = np.stack(np.meshgrid(centres, centres), axis=-1)[:, :, None]  # 28 28 1 2
    starts, ways = corners[:-1], np.diff(corners, axis=0)  # S 2, for S straight pieces
    lengths = np.maximum((ways**2).sum(axis=-1), 1)
    along = np.clip(((pixels - starts) * ways).sum(axis=-1), 0, lengths)  # 28 28 S
    nearest = starts + along[..., None] * ways // lengths[:, None]
    return np.asarray(((pixels - nearest) ** 2).sum(axis=-1).min(axis=-1))


def _uniform(stream: np.random.PCG64, low: int, high: int, shape: tuple[int, ...]) -> Integers:
    """Whole numbers from `low` to `high`, both included."""
    raw = stream.random_raw(int(np.prod(shape))) >> np.uint64(32)
    return np.asarray(low + raw.astype(np.int64).reshape(shape) % (high - low + 1))
