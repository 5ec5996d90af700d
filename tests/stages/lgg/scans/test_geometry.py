"""From the grid of a scan to the packed square and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.lgg.scans.geometry import pad, to_scan

SIDES = st.integers(1, 12)


def test_padding_by_hand() -> None:
    assert pad(np.array([[1, 2, 3]]), 3).tolist() == [[0, 0, 0], [1, 2, 3], [0, 0, 0]]
    assert pad(np.array([[1, 2]]), 2).tolist() == [[1, 2], [0, 0]]  # the odd row comes behind
    assert pad(np.ones((3, 2, 3), np.uint8), 3)[:, :, 1].tolist() == [[1, 1, 0]] * 3
    square = np.ones((2, 2))
    assert pad(square, 2) is square


@given(height=SIDES, width=SIDES)
def test_to_scan_undoes_padding(height: int, width: int) -> None:
    slices = np.random.default_rng(0).random((3, height, width), np.float32)
    packed = np.stack([pad(one, max(height, width)) for one in slices])
    assert np.array_equal(to_scan(torch.from_numpy(packed), height, width).numpy(), slices)


def test_the_same_size_is_the_same_bits() -> None:
    values = torch.randn(2, 5, 5)
    assert torch.equal(to_scan(values, 5, 5), values)


def test_between_pixels_by_hand() -> None:
    # Two pixels become four, whose middles lie at -1/4, 1/4, 3/4 and 5/4 between those of the two.
    values = torch.tensor([[[0.0, 8.0], [0.0, 8.0]]])
    assert to_scan(values, 4, 4)[0].tolist() == [[0, 2, 6, 8]] * 4
    assert to_scan(values, 4, 2)[0].tolist() == [[2, 6]] * 4
    assert to_scan(values, 2, 4)[0].tolist() == [[0, 2, 6, 8]] * 2


@pytest.mark.parametrize("side", [3, 7, 16])
def test_a_plane_stays_in_its_place(side: int) -> None:
    """What is resized by area and brought back lies where it lay: a slope has no jump to a side."""
    height, width = 12, 9
    assert torch.allclose(to_scan(torch.full((1, side, side), 3.0), height, width), torch.tensor(3.0))
    slope = (torch.arange(side) + 0.5) / side * 12  # px of the square, at the middles of packed pixels
    back = to_scan(slope.expand(1, side, side), height, width)[0, 5]
    expected = torch.arange(width) + 0.5 + 1  # the square has one column more to the left
    inside = slice(2, -2)
    assert torch.allclose(back[inside], expected[inside], atol=1e-5)
