"""Volumes and pictures of the same values give the same pixels."""

from pathlib import Path

import numpy as np
import pytest

from stages.errors import BadInput
from stages.lgg.inference.found import find
from stages.lgg.inference.reading import Read, read
from tests.stages.lgg import labs


def one(folder: Path) -> Read:
    return read(find([folder])[0])


def test_volumes_are_as_pictures(tmp_path: Path) -> None:
    stack = labs.pixels()
    volume = one(labs.volumes(tmp_path / "v", "a", stack))
    pictures = one(labs.slices(tmp_path / "p", "a", stack))
    assert np.array_equal(volume.pixels, stack)
    assert np.array_equal(pictures.pixels, stack)
    assert (volume.missing, pictures.missing) == ((), ())
    column, row, between = labs.SPACING
    assert volume.grid.spacing_mm == pytest.approx((row, column, between), rel=1e-5)
    assert pictures.grid.spacing_mm is None
    assert np.array_equal(volume.packed(16), pictures.packed(16))
    assert volume.packed(16).shape == (5, 16, 16, 3)
    assert sorted(volume.hashes) == ["a_FLAIR.nii.gz", "a_T1w.nii.gz", "a_ce-GD_T1w.nii.gz"]


def test_flair_stands_in_for_what_is_missing(tmp_path: Path) -> None:
    found = one(labs.volumes(tmp_path, "a", labs.pixels(), pre=True, post=True))
    assert found.missing == ("pre", "post")
    assert np.array_equal(found.pixels[..., 0], found.pixels[..., 1])
    stack = labs.pixels()
    stack[..., 2] = stack[..., 1]
    assert one(labs.slices(tmp_path / "p", "b", stack)).missing == ("post",)


def test_more_than_8_bits_are_mapped(tmp_path: Path) -> None:
    stack = labs.pixels().astype(np.uint16) * 16
    for folder in (labs.volumes(tmp_path / "v", "a", stack), labs.slices(tmp_path / "p", "a", stack)):
        assert np.abs(one(folder).pixels.astype(int) - stack // 16).max() <= 1


@pytest.mark.parametrize("make", [labs.volumes, labs.slices])
@pytest.mark.parametrize("value", [0, 7])
def test_a_scan_that_shows_nothing_is_refused(tmp_path: Path, make: labs.Make, value: int) -> None:
    with pytest.raises(BadInput, match=f"nothing: all (its )?values are {value}"):
        one(make(tmp_path, "a", np.full((3, 8, 8, 3), value, np.uint8)))


def test_slices_are_taken_as_they_lie_in_the_file_if_asked(tmp_path: Path) -> None:
    stack = labs.pixels()
    [scan] = find([labs.volumes(tmp_path, "a", stack)])
    assert np.array_equal(read(scan, as_stored=True).pixels, stack.swapaxes(1, 2))  # X as rows


def test_slices_of_different_sizes_are_refused(tmp_path: Path) -> None:
    labs.slices(tmp_path, "a", labs.pixels())
    labs.slices(tmp_path / "more", "b", labs.pixels(shape=(1, 8, 8)))
    (tmp_path / "more/b_1.tif").rename(tmp_path / "a_6.tif")
    with pytest.raises(BadInput, match=r"a_6\.tif is 8×8×3 uint8, and other slices are 20×16×3 uint8"):
        one(tmp_path)


def test_a_sequence_on_another_grid_is_refused(tmp_path: Path) -> None:
    labs.volumes(tmp_path, "a", labs.pixels(), post=True)
    labs.volumes(tmp_path, "a", labs.pixels(shape=(4, 20, 16)), pre=True, flair=True)
    with pytest.raises(BadInput, match="resample one to the other"):
        one(tmp_path)
