"""NIfTI files: what the header says, what the voxels are, and what is refused."""

import gzip
import re
import struct
from contextlib import suppress

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import BadInput
from stages.lgg.formats.nifti import read_header, read_voxels
from tests.stages.lgg import folders

VOXELS = folders.sequence(1, 1)
CONTENT = folders.nifti(VOXELS)
MOST = 10**6


def refusal(content: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        read_voxels(content, "x.nii", MOST)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", ["uint8", "int16", "uint16", "int32", "float32", "float64", ">i2", ">f4"])
def test_voxels_are_as_stored(kind: str) -> None:
    voxels = folders.sequence(1, 1, kind="uint8" if kind == "uint8" else "int16").astype(kind)
    content = folders.nifti(voxels)
    for packed in (content, gzip.compress(content)):
        read = read_voxels(packed, "x.nii", MOST)
        assert read.dtype.itemsize == np.dtype(kind).itemsize
        assert np.array_equal(read, voxels)


def test_the_header() -> None:
    for content in (CONTENT, gzip.compress(CONTENT)):
        header = read_header(content[:16384], "x.nii")
        assert header.shape == folders.SHAPE
        assert header.spacing_mm == folders.SPACING
        assert header.spacing_known


def test_units_of_the_header() -> None:
    assert read_header(folders.nifti(VOXELS, unit="micron"), "x.nii").spacing_mm == (0.0009, 0.0011, 0.005)
    assert not read_header(folders.nifti(VOXELS, unit=None), "x.nii").spacing_known


def test_values_are_scaled_as_the_file_says() -> None:
    image = nibabel.Nifti1Image(VOXELS, np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    raw = bytearray(image.to_bytes())
    raw[112:120] = np.array([0.5, 3], "<f4").tobytes()  # nibabel itself stores what comes out the same
    assert np.array_equal(read_voxels(bytes(raw), "x.nii", MOST), VOXELS * 0.5 + 3)


def test_the_second_version_and_a_fourth_axis_of_one() -> None:
    second = nibabel.Nifti2Image(VOXELS, np.eye(4)).to_bytes()
    assert np.array_equal(read_voxels(second, "x.nii", MOST), VOXELS)
    assert np.array_equal(read_voxels(folders.nifti(VOXELS[..., None]), "x.nii", MOST), VOXELS)


def test_what_is_not_one_volume_of_numbers() -> None:
    four = folders.nifti(np.stack([VOXELS, VOXELS], -1))
    assert refusal(four) == "x.nii is 4-D (20×16×5×2); a sequence is one volume, 3-D"
    flat = nibabel.Nifti1Image(VOXELS[..., 0], np.eye(4)).to_bytes()
    assert refusal(flat) == "x.nii is 2-D (20×16); a sequence is one volume, 3-D"
    assert refusal(folders.nifti(VOXELS.astype("complex64"))).startswith("x.nii has voxels of complex64")
    colours = np.zeros(folders.SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    assert refusal(folders.nifti(colours)).startswith("x.nii has voxels of [('R'")
    empty = bytearray(CONTENT)
    empty[42:44] = bytes(2)
    assert refusal(bytes(empty)) == "x.nii is empty: 0×16×5 voxels"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value: float) -> None:
    voxels = VOXELS.astype("float32")
    voxels[1, 2, 3] = value
    assert refusal(folders.nifti(voxels)).startswith("x.nii holds a value that is no finite number")


@pytest.mark.parametrize("value", [0, -1, np.nan, np.inf])
def test_a_spacing_that_is_no_length(value: float) -> None:
    content = bytearray(CONTENT)
    content[80:84] = np.array([value], "<f4").tobytes()
    assert re.match(r"x\.nii says that its voxels are .* mm; correct its header", refusal(bytes(content)))


def test_files_that_are_cut_short() -> None:
    assert refusal(CONTENT[:-1]) == f"x.nii is cut short: it has {len(CONTENT) - 1} bytes of {len(CONTENT)}"
    packed = gzip.compress(CONTENT)
    for content in (packed[:-1], packed[: len(packed) // 2], packed[:-9] + bytes(9)):
        assert refusal(content) == "x.nii is damaged, or cut short: it cannot be unpacked"
    for content in (b"", b"no NIfTI at all", CONTENT[:300], packed[:100], b"\x1f\x8b" + bytes(50), bytes(400)):
        assert refusal(content) == "x.nii is no NIfTI file that can be read: it is cut short or damaged"


def test_a_file_that_claims_more_than_can_be() -> None:
    with pytest.raises(BadInput, match="claims 3552 bytes; a volume has at most 3551"):
        read_voxels(CONTENT, "x.nii", 3551)


@pytest.mark.parametrize(
    ("offset", "said"),
    [
        (float("nan"), "cut short or damaged"),
        (float("inf"), "cut short or damaged"),
        (0, "begin at byte 0, within its header"),
        (350, "begin at byte 350, within its header"),
    ],
)
def test_voxels_do_not_begin_in_the_header(offset: float, said: str) -> None:
    content = bytearray(CONTENT)
    content[108:112] = struct.pack("<f", offset)
    with pytest.raises(BadInput, match=said):
        read_header(bytes(content), "x.nii")


def test_voxels_in_one_plane_have_no_volume() -> None:
    image = nibabel.Nifti1Image(VOXELS, np.eye(4))
    image.header["sform_code"], image.header["qform_code"] = 1, 0
    image.header["srow_x"], image.header["srow_y"], image.header["srow_z"] = [1, 0, 0, 0], [0, 1, 3, 0], [0, 0, 0, 0]
    image.header["pixdim"][1:4], image.header["vox_offset"] = (1, 1, 3), 352
    with pytest.raises(BadInput, match="places its voxels in one plane"):
        read_header(image.header.binaryblock, "x.nii")


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_damaged_header_never_breaks_the_reader(changes: list[tuple[int, int]]) -> None:
    content = bytearray(CONTENT)
    for at, value in changes:
        content[at] = value
    with suppress(BadInput):
        assert read_voxels(bytes(content), "x.nii", MOST).ndim == 3
