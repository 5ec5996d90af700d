"""What is written lies where the scan lies, and never in its place."""

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from stages.errors import BadInput
from stages.lgg.inference.found import find
from stages.lgg.inference.reading import read
from stages.lgg.inference.written import check_out, picture, statistics, write
from stages.lgg.scans.values import Grid
from tests.stages.lgg import labs

MASK = np.zeros((5, 20, 16), np.bool_)
MASK[1:3, 4:10, 5:9] = True  # 48 voxels


def test_a_volume_has_the_geometry_of_flair(tmp_path: Path) -> None:
    scan = find([labs.volumes(tmp_path / "in", "a", labs.pixels())])[0]
    write(scan, read(scan), {"mask": MASK, "probabilities": MASK * np.float32(0.5)}, tmp_path / "out", b"png")
    flair, mask = labs.volume(tmp_path / "in/a_FLAIR.nii.gz"), labs.volume(tmp_path / "out/a_mask.nii.gz")
    assert np.array_equal(mask.affine, flair.affine)
    for field in ("pixdim", "qform_code", "sform_code", "xyzt_units", "srow_x", "quatern_b"):
        assert np.array_equal(mask.header[field], flair.header[field]), field
    assert mask.get_data_dtype() == np.uint8
    assert np.array_equal(np.asarray(mask.dataobj), MASK.transpose(2, 1, 0))
    assert labs.volume(tmp_path / "out/a_probabilities.nii.gz").get_fdata().max() == 0.5
    assert (tmp_path / "out/a_preview.png").read_bytes() == b"png"


def test_slices_have_a_mask_each(tmp_path: Path) -> None:
    scan = find([labs.slices(tmp_path / "in", "a", labs.pixels())])[0]
    write(scan, read(scan), {"mask": MASK}, tmp_path / "out", None)
    files = sorted(path.name for path in (tmp_path / "out/a").iterdir())
    assert files == [f"a_{number}_mask.tif" for number in range(1, 6)]
    assert np.array_equal(tifffile.imread(tmp_path / "out/a/a_2_mask.tif"), MASK[1] * np.uint8(255))


@pytest.mark.parametrize("make", [labs.volumes, labs.slices])
@pytest.mark.parametrize("place", ["a", "link"])
def test_nothing_is_written_beside_any_scan(tmp_path: Path, make: labs.Make, place: str) -> None:
    first, second = make(tmp_path / "a", "a", labs.pixels()), make(tmp_path / "b", "b", labs.pixels())
    (tmp_path / "link").mkdir()
    for path in first.iterdir():  # another folder, in which links to them lie
        (tmp_path / "link" / path.name).symlink_to(path)
    scans = find([tmp_path / place, second])
    for out in (tmp_path / place, second):
        with pytest.raises(BadInput, match="lies there, and might be written over; give -o another folder"):
            check_out(scans, out)
    check_out(scans, tmp_path / place / "masks")


def test_slices_get_a_folder_which_may_be_that_of_a_scan(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="a lies there"):
        check_out(find([labs.slices(tmp_path / "a", "a", labs.pixels())]), tmp_path)


def test_a_file_is_no_folder_to_write_to(tmp_path: Path) -> None:
    scans = find([labs.slices(tmp_path / "a", "a", labs.pixels())])
    (tmp_path / "out").touch()
    with pytest.raises(BadInput, match="out is a file; give -o a folder"):
        check_out(scans, tmp_path / "out")


def test_the_picture_shows_the_largest_slice(tmp_path: Path) -> None:
    content = read(find([labs.slices(tmp_path, "a", labs.pixels())])[0])
    shown = imagecodecs.png_decode(picture(content, MASK))
    assert (shown[4, 5:9] == (255, 255, 0)).all()
    assert np.array_equal(shown[6, 6], content.pixels[1, 6, 6, [1, 1, 1]])


def test_volume_by_hand() -> None:
    row = statistics("a", Grid(5, 20, 16, (0.9, 1.1, 5.0)), MASK)
    assert row["volume_ml"] == 0.2376  # 48 · 0.9 · 1.1 · 5 mm³
    assert row["largest_extent_mm"] == 10  # two slices
    assert (row["tumour_px"], row["largest_extent_px"], row["slices_with_tumour"]) == (48, 6, 2)
    assert statistics("a", Grid(5, 20, 16), MASK)["volume_ml"] is None
    assert statistics("a", Grid(5, 20, 16), MASK & False)["largest_extent_px"] == 0
