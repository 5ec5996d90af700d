"""Surface distances, as MONAI measures them, against squares worked by hand."""

import math
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.lgg.scores.surfaces import implementation, surface_distances

Masks = NDArray[np.bool_]
NAN = math.nan


def square(top: int, left: int, side: int, size: int = 40) -> Masks:
    """One slice (1 size size) with a full square."""
    mask = np.zeros((1, size, size), dtype=bool)
    mask[:, top : top + side, left : left + side] = True
    return mask


def surface(prediction: Masks, truth: Masks) -> list[float]:
    nsd, hd95, *unknown = surface_distances(prediction, truth).to_numpy()[0]
    assert all(map(math.isnan, unknown))  # in mm
    return [nsd, hd95]


# The outline of a square of 6 px has 20 px. Moved by d to the right, its left column is d away from the other's and,
# in the other direction, the right one; the rest of both outlines is at most min(d, 2) away.
@pytest.mark.parametrize(("shift", "nsd", "hd95"), [(0, 1, 0), (1, 1, 1), (2, 1, 2), (3, 14 / 20, 3)])
@pytest.mark.parametrize("transposed", [False, True])
def test_surfaces_of_a_moved_square(shift: int, nsd: float, hd95: float, transposed: bool) -> None:
    axes = (0, 2, 1) if transposed else (0, 1, 2)
    prediction, truth = square(10, 10 + shift, 6).transpose(axes), square(10, 10, 6).transpose(axes)
    assert surface(prediction, truth) == pytest.approx([nsd, hd95])


# Pixels 3 mm high and 0.5 mm wide. Moved by 3 columns, nothing of the outline is further off than 1.5 mm. By 6 the
# squares touch: a column is 0.5 mm off, and 3 px of both rows behind it up to 2 mm: 12 of 20 px. By 1 row 6 of 20 px
# are 3 mm off.
@pytest.mark.parametrize(
    ("down", "right", "nsd_2mm", "hd95_mm"), [(0, 0, 1, 0), (0, 3, 1, 1.5), (0, 6, 24 / 40, 3), (1, 0, 28 / 40, 3)]
)
def test_surfaces_in_mm(down: int, right: int, nsd_2mm: float, hd95_mm: float) -> None:
    scores = surface_distances(square(10 + down, 10 + right, 6), square(10, 10, 6), (3.0, 0.5))
    assert scores[["nsd_2mm", "hd95_mm"]].to_numpy()[0] == pytest.approx([nsd_2mm, hd95_mm])


def test_surfaces_of_squares_far_apart() -> None:
    # 2 × 2 px each, all of it outline; from columns 5, 6 to columns 25, 26 it is 20 and 19 px, both ways.
    # 95th percentile of 19, 19, 20, 20: linear, at place 0.95·3 = 2.85, so 20.
    assert surface(square(5, 5, 2), square(5, 25, 2)) == pytest.approx([0, 20])


def test_hd95_is_the_larger_of_the_two_directions() -> None:
    # Truth is the square and a pixel 20 px to the right of its right side. From the prediction nothing is far. From the
    # truth, 20 px of 21 are at 0 and one at 20: the 95th percentile is at place 19, so still 0.
    truth = square(10, 10, 6)
    truth[0, 12, 35] = True
    assert surface(square(10, 10, 6), truth) == pytest.approx([40 / 41, 0])
    truth[0, 13, 35] = True  # now 2 px of 22: place 0.95·21 = 19.95, of 20 values at 0 and the rest at 20
    assert surface(square(10, 10, 6), truth) == pytest.approx([40 / 42, 0.95 * 20])
    assert surface(truth, square(10, 10, 6)) == pytest.approx([40 / 42, 0.95 * 20])


def test_a_mask_that_touches_the_image_edge_is_closed_there() -> None:
    full, hole = np.ones((1, 9, 9), dtype=bool), np.ones((1, 9, 9), dtype=bool)
    hole[0, 4, 4] = False
    # Full: 32 px of the border are outline. With a hole, also its 4 neighbours, each 3 px from the border.
    assert surface(full, hole) == pytest.approx([64 / 68, 3])


def test_surfaces_are_undefined_where_a_mask_is_empty_and_keep_to_their_slices() -> None:
    empty, here, there = square(0, 0, 0), square(10, 10, 6), square(10, 13, 6)
    prediction = np.concatenate([empty, here, here, empty, there])
    truth = np.concatenate([here, empty, here, empty, here])
    found = surface_distances(prediction, truth)
    assert found["nsd"].tolist() == pytest.approx([NAN, NAN, 1, NAN, 0.7], nan_ok=True)
    assert found["hd95_px"].tolist() == pytest.approx([NAN, NAN, 0, NAN, 3], nan_ok=True)


def test_the_implementation_is_named() -> None:
    assert re.match(r"MONAI 1\.\d+\.\d+, compute_surface_dice and compute_hausdorff_distance", implementation())
