"""A series becomes a volume with the same values at the same places, or is refused."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from stages.errors import BadInput
from stages.lgg.formats.dicom import is_dicom, read_tags, to_nifti
from tests.stages.lgg import labs

STACK = labs.pixels()[..., 0].astype(np.uint16) * 16  # S H W


def series(folder: Path, change: Callable[[int, Any], None] = lambda *_: None) -> dict[Path, bytes]:
    """The files of one, changed by a function of a slice's number and its data set."""
    found = {}
    for number, pixels in enumerate(STACK):
        one = labs.dicom_slice(pixels, labs.OBLIQUE, number)
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.{number + 1}"
        change(number, one)
        path = folder / f"{(3 * number) % len(STACK)}.dcm"
        one.save_as(path, enforce_file_format=True)
        found[path] = path.read_bytes()
    return dict(sorted(found.items()))


def test_values_and_places_are_those_of_the_scanner(tmp_path: Path) -> None:
    volume = nibabel.Nifti1Image.from_bytes(to_nifti(series(tmp_path)))
    assert np.array_equal(np.asarray(volume.dataobj), STACK.transpose(2, 1, 0))
    assert np.asarray(volume.dataobj).dtype == np.uint16
    assert volume.affine == pytest.approx(labs.OBLIQUE, abs=1e-5)
    assert volume.header.get_xyzt_units()[0] == "mm"
    assert volume.header.get_zooms() == pytest.approx(labs.SPACING, rel=1e-6)


def test_a_scale_is_applied(tmp_path: Path) -> None:
    def scale(_: int, one: Any) -> None:
        one.RescaleSlope, one.RescaleIntercept = "0.5", "-3"

    values = np.asarray(nibabel.Nifti1Image.from_bytes(to_nifti(series(tmp_path, scale))).dataobj)
    assert np.array_equal(values, (STACK * 0.5 - 3).transpose(2, 1, 0).astype(np.float32))


def test_a_single_slice_is_as_thick_as_it_says(tmp_path: Path) -> None:
    def thick(_: int, one: Any) -> None:
        one.SliceThickness = "4.5"

    path, content = next(iter(series(tmp_path, thick).items()))
    volume = nibabel.Nifti1Image.from_bytes(to_nifti({path: content}))
    assert volume.shape == (16, 20, 1)
    assert volume.header.get_zooms() == pytest.approx((0.9, 1.1, 4.5))


def gone(number: int, one: Any) -> None:
    if number == 2:
        one.ImagePositionPatient = [str(float(value) + 2) for value in one.ImagePositionPatient]


def aside(number: int, one: Any) -> None:
    along = [float(value) for value in one.ImageOrientationPatient[:3]]
    moved = [float(value) + number * each for value, each in zip(one.ImagePositionPatient, along, strict=True)]
    one.ImagePositionPatient = [f"{value:.12g}" for value in moved]


def larger(number: int, one: Any) -> None:
    if number == 3:
        one.Rows, one.Columns = 16, 20


def turned(number: int, one: Any) -> None:
    if number == 1:
        one.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]


def without_place(_: int, one: Any) -> None:
    del one.ImagePositionPatient


def inverted(_: int, one: Any) -> None:
    one.PhotometricInterpretation = "MONOCHROME1"


def many(_: int, one: Any) -> None:
    one.NumberOfFrames = "5"


def twice(_: int, one: Any) -> None:
    one.ImagePositionPatient = ["0", "0", "0"]


def compressed(_: int, one: Any) -> None:
    one.PixelData = one.PixelData[:10]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (gone, "before the next slice, and others"),
        (aside, "of its series lie .* mm beside each other"),
        (larger, "px, and .* 20×16|is 16×20 px"),
        (turned, "another ImageOrientationPatient"),
        (without_place, "has no ImagePositionPatient"),
        (inverted, "is MONOCHROME1, not MONOCHROME2"),
        (many, "holds 5 slices in one file"),
        (twice, "lies 0 mm before the next slice"),
        (compressed, "its pixels cannot be read"),
    ],
)
def test_what_cannot_be_trusted_is_refused(tmp_path: Path, change: Callable[[int, Any], None], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        to_nifti(series(tmp_path, change))


def test_a_file_is_known_by_what_it_is(tmp_path: Path) -> None:
    def named(_: int, one: Any) -> None:
        one.SeriesInstanceUID, one.PatientID = "1.2.3", "secret"

    path = next(iter(series(tmp_path, named)))
    assert is_dicom(path)
    assert read_tags(path)["Modality"] == "MR"
    assert "PatientID" not in read_tags(path)
    (tmp_path / "notes.dcm").write_text("none")
    assert not is_dicom(tmp_path / "notes.dcm")
    (tmp_path / "cut.dcm").write_bytes(path.read_bytes()[:140])
    with pytest.raises(BadInput, match=r"cut\.dcm says of no series"):
        read_tags(tmp_path / "cut.dcm")
