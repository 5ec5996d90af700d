"""Patients whose sequences are volumes: axes, spacing, missing sequences, and what does not fit."""

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from stages.errors import BadInput
from stages.lgg.formats.nifti import read_header
from stages.lgg.layouts.patients import Volumes
from stages.lgg.scans import volumes
from stages.lgg.scans.archive import open_archive
from stages.lgg.scans.values import Axes, Grid
from tests.stages.lgg import archives, folders

Files = dict[str, bytes]
HEAD = "patient,pre,flair,post,mask\n"
FILES: Files = {
    "patients.csv": f"{HEAD}P,pre.nii,flair.nii,post.nii,mask.nii\n".encode(),
    **{f"{name}.nii": folders.nifti(folders.sequence(1, which)) for which, name in enumerate(("pre", "flair", "post"))},
    "mask.nii": folders.nifti(folders.lesion(1)),
}


def read(folder: Path, files: Files) -> tuple[Grid | None, list[NDArray[Any]], list[NDArray[np.bool_]], list[str]]:
    problems = list[str]()
    with open_archive(archives.write(folder / "archive.zip", FILES | files)) as archive:
        (patient,) = archive.patients
        assert isinstance(patient, Volumes)
        grid = volumes.measure(archive, patient, problems)
        slices = list(volumes.read(archive, patient, grid, problems)) if grid else []
    return grid, [image for image, _ in slices], [mask for _, mask in slices], problems


def scaled(voxels: NDArray[Any]) -> NDArray[np.float64]:
    """The mapping by its definition."""
    signal = np.sort(voxels[voxels != 0])
    high = signal[int(np.ceil(len(signal) * 0.999)) - 1]
    scaled: NDArray[np.float64] = np.minimum(np.floor(voxels.astype(float) * 255 / high + 0.5), 255)
    return scaled


def test_slices_and_their_mapping(tmp_path: Path) -> None:
    grid, images, masks, problems = read(tmp_path, {})
    assert problems == []
    assert grid == Grid(5, 20, 16, (0.9, 1.1, 5.0), axes=Axes((2, 0, 1)))
    for which in range(3):
        voxels = folders.sequence(1, which)
        assert np.array_equal(np.stack(images)[..., which], np.moveaxis(scaled(voxels), 2, 0))
    assert np.array_equal(np.stack(masks), np.moveaxis(folders.lesion(1) == 1, 2, 0))


@pytest.mark.parametrize(
    ("spacing", "order", "size"),
    [
        ((5.0, 1.0, 1.0), (0, 2, 1), (20, 5, 16)),  # seen from the left, the top above and the front to the left
        ((1.0, 5.0, 1.0), (1, 2, 0), (16, 5, 20)),  # seen from the front
        ((1.0, 1.0, 1.0), (2, 0, 1), (5, 20, 16)),
        ((1.0, 1.0001, 1.0), (2, 0, 1), (5, 20, 16)),
        ((1.0, 1.05, 0.97), (2, 0, 1), (5, 20, 16)),  # nearly the same: axial
        ((1.0, 1.2, 1.0), (1, 2, 0), (16, 5, 20)),
    ],
)
def test_slices_follow_the_largest_spacing(
    tmp_path: Path, spacing: tuple[float, float, float], order: tuple[int, int, int], size: tuple[int, int, int]
) -> None:
    files = {
        f"{name}.nii": folders.nifti(folders.sequence(1, n), spacing) for n, name in enumerate(("pre", "flair", "post"))
    }
    grid, images, masks, problems = read(tmp_path, files | {"mask.nii": folders.nifti(folders.lesion(1), spacing)})
    assert problems == []
    assert grid is not None
    assert (grid.axes.order, (grid.slices, grid.height, grid.width)) == (order, size)
    assert grid.spacing_mm == pytest.approx((spacing[order[1]], spacing[order[2]], spacing[order[0]]))
    upright = (folders.lesion(1) == 1).transpose(order)
    assert np.array_equal(np.stack(masks), upright if order[0] == 2 else upright[:, ::-1])  # the file goes up
    assert images[0].shape == (*size[1:], 3)


def test_8_bits_stay_as_they_are(tmp_path: Path) -> None:
    voxels = (folders.sequence(1, 1) // 20).astype(np.uint8)
    _, images, _, _ = read(tmp_path, {"flair.nii": folders.nifti(voxels)})
    assert np.array_equal(np.stack(images)[..., 1], np.moveaxis(voxels, 2, 0))


def test_flair_stands_in_for_what_is_missing(tmp_path: Path) -> None:
    _, images, _, _ = read(tmp_path, {"patients.csv": f"{HEAD}P,,flair.nii,,mask.nii\n".encode()})
    stack = np.stack(images)
    assert np.array_equal(stack[..., 0], stack[..., 1])
    assert np.array_equal(stack[..., 2], stack[..., 1])


def test_a_spacing_without_unit_is_unknown(tmp_path: Path) -> None:
    files = {
        f"{name}.nii": folders.nifti(folders.sequence(1, n), unit=None)
        for n, name in enumerate(("pre", "flair", "post"))
    }
    grid, _, _, problems = read(tmp_path, files | {"mask.nii": folders.nifti(folders.lesion(1), unit=None)})
    assert problems == []
    assert grid is not None
    assert grid.spacing_mm is None


def test_a_spacing_that_a_table_says(tmp_path: Path) -> None:
    names = ("pre", "flair", "post")
    files = {f"{name}.nii": folders.nifti(folders.sequence(1, n), unit=None) for n, name in enumerate(names)}
    files["mask.nii"] = folders.nifti(folders.lesion(1), unit=None)
    table = f"{HEAD[:-1]},row_mm,column_mm,slice_mm\nP,pre.nii,flair.nii,post.nii,mask.nii,0.5,0.5,4\n".encode()
    grid, _, _, problems = read(tmp_path, files | {"patients.csv": table})
    assert problems == []
    assert grid is not None
    assert grid.spacing_mm == (0.5, 0.5, 4.0)
    assert read(tmp_path, {"patients.csv": table})[3] == [
        "flair.nii has a spacing of 0.9 × 1.1 × 5.0 mm, but patients.csv says 0.5 × 0.5 × 4.0; correct one of them"
    ]
    assert read(tmp_path, {"patients.csv": table.replace(b"0.5,0.5,4", b"0.9,1.1,5.01")})[3] == []


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("post", folders.nifti(folders.sequence(1, 2)[:19]),
         "post.nii is 19×16×5 voxels, and flair.nii 20×16×5; resample one to the other"),
        ("mask", folders.nifti(folders.lesion(1), shift=0.2), "mask.nii lies 0.2 mm beside flair.nii; resample"),
        ("pre", folders.nifti(folders.sequence(1, 0), (0.9, 1.1, 5.1)), "pre.nii lies 0.5 mm beside flair.nii"),
        ("pre", folders.nifti(np.stack([folders.sequence(1, 0)] * 2, -1)), "pre.nii is 4-D (20×16×5×2)"),
        ("flair", b"", "flair.nii is no NIfTI file that can be read"),
        ("pre", folders.nifti(np.zeros(folders.SHAPE, "int16")), "pre.nii shows nothing: all its values are 0"),
        ("pre", folders.nifti(np.full(folders.SHAPE, 7, "int16")), "pre.nii shows nothing: all its values are 7"),
        ("post", folders.nifti(np.full(folders.SHAPE, 7, "uint8")), "post.nii shows nothing: all its values are 7"),
        ("post", folders.nifti(np.full(folders.SHAPE, np.nan, "float32")), "post.nii holds a value that is no finite"),
        ("post", FILES["post.nii"][:-5], "post.nii is cut short"),
        ("mask", folders.nifti(folders.lesion(1, value=2)), "mask.nii holds the value 2; a mask has 0 and 1"),
        ("mask", folders.nifti(folders.lesion(1) + folders.lesion(2)),
         "mask.nii holds the values 0, 1, 2, of which several may be tumour; say which in a table patients.csv"),
        ("mask", folders.nifti(folders.lesion(1) + np.uint8(1)), "mask.nii holds the values 1, 2, of which several"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    _, images, _, problems = read(tmp_path, {f"{name}.nii": content})
    (found,) = problems
    assert found.startswith(problem)
    assert images == []


def test_a_map_of_labels_that_a_table_explains(tmp_path: Path) -> None:
    several = folders.lesion(1, value=4) + folders.lesion(2)
    table = f"{HEAD[:-1]},labels\nP,pre.nii,flair.nii,post.nii,mask.nii,4 5\n".encode()
    _, _, masks, problems = read(tmp_path, {"mask.nii": folders.nifti(several), "patients.csv": table})
    assert problems == []
    assert np.array_equal(np.stack(masks), np.moveaxis(np.isin(several, [4, 5]), 2, 0))


LYING = {
    "LPS": (np.diag([-0.9, -1.1, 5.0]), (2, 1, 0), (1, 1, 1)),
    "RAS": (np.diag([0.9, 1.1, 5.0]), (2, 1, 0), (1, -1, -1)),
    "LAS": (np.diag([-0.9, 1.1, 5.0]), (2, 1, 0), (1, -1, 1)),
    "PLS": (np.array([[0, -1.1, 0], [-0.9, 0, 0], [0, 0, 5.0]]), (2, 0, 1), (1, 1, 1)),
    "RSA": (np.array([[0.9, 0, 0], [0, 0, 5.0], [0, 1.1, 0]]), (2, 1, 0), (1, -1, -1)),  # coronal
}


@pytest.mark.parametrize("name", LYING)
@pytest.mark.parametrize("tilted", [False, True])
def test_slices_lie_as_pictures_do_whatever_the_file(name: str, tilted: bool) -> None:
    """The front at the top, the right side to the left; and back into the file."""
    axes, order, steps = LYING[name]
    affine, turn = np.eye(4), Rotation.from_euler("xyz", [12, -9, 17], degrees=True).as_matrix()
    affine[:3, :3] = turn @ axes if tilted else axes
    voxels = folders.sequence(1, 0)
    image = nibabel.Nifti1Image(voxels, affine)
    image.header.set_xyzt_units("mm")
    content = bytes(image.to_bytes())
    grid = volumes.grid_of(read_header(content, "a.nii"), "a.nii")
    turned = voxels.transpose(order)[:, :: steps[1], :: steps[2]]
    found = grid.axes.to_slices(voxels)
    assert np.array_equal(found, turned)
    assert (grid.slices, grid.height, grid.width) == turned.shape
    assert grid.spacing_mm == pytest.approx((1.1, 0.9, 5.0) if name != "PLS" else (0.9, 1.1, 5.0), rel=1e-5)
    assert np.array_equal(grid.axes.to_file(found), voxels)


@given(st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
def test_there_and_back(order: list[int], backwards: tuple[bool, bool, bool]) -> None:
    axes, voxels = Axes((order[0], order[1], order[2]), backwards), np.arange(24).reshape(2, 3, 4)
    assert np.array_equal(axes.to_file(axes.to_slices(voxels)), voxels)


def test_a_single_slice_is_one_however_thin_it_is() -> None:
    content = folders.nifti(np.arange(20, dtype="int16").reshape(5, 4, 1), (1.0, 1.0, 0.8))
    assert volumes.grid_of(read_header(content, "a.nii"), "a.nii").slices == 1


def test_the_volume_of_a_voxel_is_that_of_the_affine() -> None:
    """Sheared by a tenth: slices are no further apart for it."""
    affine = np.diag([-1.0, -2.0, 5.0, 1.0])
    affine[0, 2] = 0.5
    image = nibabel.Nifti1Image(np.ones((4, 4, 4), "int16"), affine)
    image.header.set_xyzt_units("mm")
    grid = volumes.grid_of(read_header(bytes(image.to_bytes()), "a.nii"), "a.nii")
    assert grid.spacing_mm == pytest.approx((2.0, 1.0, 5.0), rel=1e-5)


def test_two_volumes_are_compared_in_mm() -> None:
    """In metres, 20 mm apart."""
    voxels = np.ones((4, 4, 4), "int16")
    headers = []
    for shift in (0, 0.02):
        affine = np.diag([0.001, 0.001, 0.003, 1.0])
        affine[0, 3] = shift
        image = nibabel.Nifti1Image(voxels, affine)
        image.header.set_xyzt_units("meter")
        headers.append(read_header(bytes(image.to_bytes()), "a.nii"))
    with pytest.raises(BadInput, match=r"b\.nii lies 20 mm beside a\.nii"):
        volumes.hold(headers[1], "b.nii", headers[0], "a.nii")


def test_a_header_that_contradicts_itself_is_refused() -> None:
    image = nibabel.Nifti1Image(np.ones((4, 4, 4), "int16"), np.diag([0.5, 0.5, 3.0, 1.0]))
    image.header["pixdim"][1:4] = 1, 1, 6
    with pytest.raises(
        BadInput, match=r"a.nii says that its voxels are 1 × 1 × 6 mm, and places them 0.5 × 0.5 × 3 mm"
    ):
        read_header(bytes(image.to_bytes()), "a.nii")
