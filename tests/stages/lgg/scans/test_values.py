"""Which values are tumour, and how intensities become 8 bits; worked by hand."""

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import BadInput
from stages.lgg.scans.values import to_bytes, tumour, window, window_of_counts


def array(values: list[Any], kind: str = "uint8") -> Any:
    return np.array(values, kind)


@pytest.mark.parametrize(
    ("values", "kind", "top"),
    [
        ([0, 0, 0], "uint8", 0),
        ([0, 1, 0], "uint8", 1),
        ([0, 255, 255], "uint8", 255),
        ([0, 65535, 0], "uint16", 65535),
        ([0, 1, 0], "float64", 1),
        ([0, 255, 0], "int16", 255),
    ],
)
def test_masks_that_are_clear(values: list[int], kind: str, top: int) -> None:
    found, highest = tumour(array(values, kind), "m")
    assert found.tolist() == [bool(value) for value in values]
    assert highest == top


@pytest.mark.parametrize(
    ("values", "kind", "problem"),
    [
        ([0, 255, 128], "uint8", "m holds the value 128, not only 0 and 255"),
        ([0, 1, 255], "uint8", "m holds the value 1, not only 0 and 255"),
        ([0, 128], "uint8", "m holds the value 128; a mask has 0 and 1, 0 and 255, or 0 and 65535"),
        ([1, 255], "uint8", "m holds the value 1, not only 0 and 255"),
        ([1, 2], "uint8", "m holds the values 1, 2, of which several may be tumour"),
        ([0, 1, 2, 4], "int16", "m holds the values 0, 1, 2, 4, of which several may be tumour"),
        ([255, 255], "uint8", "m holds the value 255 alone; where nothing is 0, background cannot be told"),
        ([1], "uint8", "m holds the value 1 alone; where nothing is 0, background cannot be told"),
        ([0, 0.5, 1], "float64", "m holds the values 0.0, 0.5, 1.0, of which several may be tumour"),
        ([0, -1], "int16", "m holds the values -1, 0, of which several may be tumour"),
    ],
)
def test_masks_that_are_not(values: list[float], kind: str, problem: str) -> None:
    with pytest.raises(BadInput, match=f"^{re.escape(problem)}$"):
        tumour(array(values, kind), "m")


def test_labels_say_what_is_tumour() -> None:
    assert tumour(array([0, 1, 2, 4]), "m", {1, 4})[0].tolist() == [False, True, False, True]
    assert tumour(array([0, 0]), "m", {1})[0].tolist() == [False, False]
    with pytest.raises(BadInput, match="m holds the value 255, but tumour is 1, 2; correct the mask or the labels"):
        tumour(array([0, 255]), "m", {2, 1})


def test_windows_by_hand() -> None:
    assert window(np.arange(1001), "v") == (0, 999)  # 999 of 1,000 values above 0 do not exceed it
    assert window(np.array([0, 0, 7]), "v") == (0, 7)
    assert window(np.array([-5.0, 0, 20]), "v") == (-5, 20)
    assert window(np.array([-5, 0]), "v") == (-5, 0)
    for nothing in ([0, 0], [-3, -3], [7, 7]):
        with pytest.raises(BadInput, match=f"v shows nothing: all its values are {nothing[0]}"):
            window(np.array(nothing), "v")


def test_bytes_by_hand() -> None:
    assert to_bytes(np.array([0, 1, 2, 3, 510, 600]), 0, 510).tolist() == [0, 1, 1, 2, 255, 255]  # a half is rounded up
    assert to_bytes(np.array([-5.0, 0.0, 5.0]), -5, 5).tolist() == [0, 128, 255]


@given(st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=50))
def test_counting_gives_the_same_window(values: list[int]) -> None:
    counted = window_of_counts(np.bincount(values, minlength=2**16))
    if len(set(values)) > 1:
        assert counted == window(np.array(values), "v")
    elif values[0] == 0:
        assert counted == (0, 1)
    scaled = to_bytes(np.array(values), *counted)
    assert scaled[np.array(values) == 0].sum() == 0
    order = np.argsort(values)
    assert (np.diff(scaled[order].astype(int)) >= 0).all()
