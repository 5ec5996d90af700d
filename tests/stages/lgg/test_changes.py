"""What changed between two tables of slices and their arrays: small ones, worked out by hand."""

import tracemalloc
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from stages.lgg.changes import Compared, compare, compare_slices
from tests.stages.lgg.versions import AFTER, BEFORE, HEAD, OF_AFTER, pixels


def table(rows: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(HEAD + rows))


def test_names() -> None:
    assert compare(["b", "a", "d"], ["c", "a", "d"], lambda name: name == "d") == Compared(["c"], ["b"], ["a"], 1)
    assert str(Compared(["c"], [], ["a"], 1200)) == "1 added, 0 removed, 1 changed, 1,200 the same"


def test_slices_are_known_by_patient_and_number_wherever_they_lie() -> None:
    images, masks = pixels(OF_AFTER), pixels(OF_AFTER)
    images[3, 1, 1] = masks[2, 1, 1] = 1  # P2 1 and P1 2
    arrays = {"images.npy": (pixels([*range(7)]), images), "masks.npy": (pixels([*range(7)]), masks)}
    found = compare_slices(table(BEFORE), table(AFTER), arrays)
    assert found.patients == Compared(["P0"], ["P3"], ["P1", "P2"], 1)
    assert found.slices == Compared([("P0", 1), ("P2", 3)], [("P2", 2), ("P3", 1)], [("P1", 2), ("P2", 1)], 3)
    assert found.differing == {"slices.csv": 1, "images.npy": 1, "masks.npy": 1}
    assert found.notes == []


def test_equal_slices_are_equal_with_nan_and_without_arrays() -> None:
    floats = np.full((7, 2), np.nan)
    assert compare_slices(table(BEFORE), table(BEFORE), {"images.npy": (floats, floats.copy())}).slices.same == 7
    assert compare_slices(table(BEFORE), table(BEFORE), {}).patients == Compared([], [], [], 4)


@pytest.mark.parametrize(
    ("other", "kind"), [(np.zeros((7, 3, 3), np.uint8), "3 × 3 uint8"), (np.zeros((7, 2, 2), ">u2"), "2 × 2 >u2")]
)
def test_slices_of_another_kind_are_all_changed(other: NDArray[Any], kind: str) -> None:
    found = compare_slices(table(BEFORE), table(AFTER), {"masks.npy": (pixels([0] * 7), other)})
    assert (len(found.slices.changed), found.slices.same, found.differing["masks.npy"]) == (5, 0, 5)
    held = f"2 × 2 uint8 in the old version and {kind} in the new version"
    assert found.notes == [f"a slice of masks.npy is {held}: every common slice is changed"]


def test_no_common_slice() -> None:
    arrays = {"masks.npy": (pixels([1]), pixels([1]))}
    found = compare_slices(table("0,P1,CS,1,0\n"), table("0,P2,CS,1,0\n"), arrays)
    assert found.slices == Compared([("P2", 1)], [("P1", 1)], [], 0)


def test_one_slice_is_in_memory_at_a_time(tmp_path: Path) -> None:
    rows = pd.DataFrame({"slice": range(64), "patient": "P1", "institution": "CS", "number": range(64), "tumour_px": 0})
    sides = []
    for name in ("old.npy", "new.npy"):
        side = np.lib.format.open_memmap(tmp_path / name, mode="w+", dtype=np.uint8, shape=(64, 512, 512, 3))
        sides.append(side)
    sides[1][5, 1, 1, 1] = 1
    tracemalloc.start()
    try:
        found = compare_slices(rows, rows, {"images.npy": (sides[0], sides[1])})
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found.slices == Compared([], [], [("P1", 5)], 63)
    assert peak < 5 * sides[0][0].nbytes  # of 64
