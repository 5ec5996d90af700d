"""images.npy and masks.npy: what fits is mapped, and what does not is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stages.errors import BadInput
from stages.lgg.arrays import map_arrays


def write(folder: Path, images: Any, masks: Any) -> None:
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", masks)


def test_arrays_that_fit_are_mapped_and_cannot_be_written(tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 8 * 3, dtype=np.uint8).reshape(2, 4, 8, 3)
    masks = np.eye(4, 8, dtype=np.uint8)[np.newaxis].repeat(2, 0)
    write(tmp_path, images, masks)
    mapped = map_arrays(tmp_path, 2, 4)
    assert all(isinstance(one, np.memmap) and not one.flags.writeable for one in mapped)
    assert np.array_equal(mapped[0], images)
    assert np.array_equal(mapped[1], masks)


@pytest.mark.parametrize(
    ("images", "masks", "words"),
    [
        (np.zeros((1, 4, 4, 3), np.uint8), np.zeros((2, 4, 4), np.uint8), r"images\.npy: holds uint8 \(1, 4, 4, 3\)"),
        (np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4), np.uint8), r"images\.npy: holds float64"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.zeros((2, 4, 2), np.uint8), r"masks\.npy: holds uint8 \(2, 4, 2\)"),
        (np.zeros((2, 6, 4, 3), np.uint8), np.zeros((2, 6, 4), np.uint8), "6 × 4 px, not multiples of 4; set lgg"),
        (np.zeros((2, 4, 4, 3), np.uint8), np.full((2, 4, 4), 2, np.uint8), "has the value 2, not only 0 and 1"),
    ],
)
def test_arrays_that_do_not_fit_are_named(tmp_path: Path, images: Any, masks: Any, words: str) -> None:
    write(tmp_path, images, masks)
    with pytest.raises(BadInput, match=words):
        map_arrays(tmp_path, 2, 4)


def test_a_file_that_is_missing_or_no_array_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"images\.npy: no such file; run dvc repro lgg-pack"):
        map_arrays(tmp_path, 2, 4)
    (tmp_path / "images.npy").write_text("?")
    with pytest.raises(BadInput, match=r"images\.npy: not an array"):
        map_arrays(tmp_path, 2, 4)
