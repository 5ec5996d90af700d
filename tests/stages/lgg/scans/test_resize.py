"""Resizing by area, held to the definition in exact fractions."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.lgg.scans.archive import FILE_BYTES
from stages.lgg.scans.resize import average, majority

Pixels = NDArray[np.uint8]


def means(plane: Pixels, size: int) -> list[list[Fraction]]:
    """The mean of `plane` over each of size × size squares, by the definition."""
    side = len(plane)
    length = Fraction(side, size)

    def share(square: int, pixel: int) -> Fraction:
        covered = min((square + 1) * length, Fraction(pixel + 1)) - max(square * length, Fraction(pixel))
        return max(covered, Fraction(0)) / length

    def mean(row: int, column: int) -> Fraction:
        pixels = [(y, x) for y in range(side) for x in range(side)]
        return sum((share(row, y) * share(column, x) * int(plane[y, x]) for y, x in pixels), Fraction(0))

    return [[mean(row, column) for column in range(size)] for row in range(size)]


@given(side=st.integers(1, 7), size=st.integers(1, 9), seed=st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_resizing_is_the_area_average_whatever_the_ratio(side: int, size: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    image = draw.integers(0, 256, (side, side, 3), dtype=np.uint8)
    mask = draw.integers(0, 2, (side, side), dtype=np.uint8)
    half = Fraction(1, 2)
    for channel in range(3):
        exact = [[int(mean + half) for mean in row] for row in means(image[..., channel], size)]
        assert average(image, size)[..., channel].tolist() == exact
    assert majority(mask, size).tolist() == [[int(mean >= half) for mean in row] for row in means(mask, size)]


def test_resizing_the_largest_slice_does_not_overflow() -> None:
    side = math.isqrt(FILE_BYTES // 3)
    image = np.full((side, side, 3), 255, np.uint8)
    assert (average(image, 2048) == 255).all()
    assert (majority(image[..., 0] // 255, 16) == 1).all()
