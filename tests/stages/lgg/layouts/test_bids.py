"""BIDS's folders: sequences by the ends of names, masks wherever they lie."""

import pytest

from stages.lgg.layouts.bids import bids, is_bids
from stages.lgg.layouts.patients import Volumes
from tests.stages.lgg import folders


def test_patients() -> None:
    found = bids(folders.bids())
    assert found.problems == []
    first, _, third, fourth, _ = found.patients
    assert first == Volumes(
        "sub-001",
        flair="sub-001/anat/sub-001_FLAIR.nii.gz",
        mask="derivatives/lesions/sub-001/anat/sub-001_label-lesion_mask.nii.gz",
        pre="sub-001/anat/sub-001_T1w.nii.gz",
        post="sub-001/anat/sub-001_ce-GADOLINIUM_T1w.nii.gz",
    )
    assert isinstance(third, Volumes)
    assert isinstance(fourth, Volumes)
    assert (third.pre is None, third.post) == (False, None)
    assert (fourth.pre, fourth.post) == (None, None)


def test_sessions_and_masks_beside_images() -> None:
    stem = "sub-A1/ses-early/anat/sub-A1_ses-early"
    found = bids([f"{stem}_acq-3d_FLAIR.nii", f"{stem}_dseg.nii", f"{stem}_T2w.nii", "sub-A1/ses-early/dwi/x_dwi.nii"])
    assert found.problems == []
    assert found.patients == (Volumes("sub-A1", f"{stem}_acq-3d_FLAIR.nii", f"{stem}_dseg.nii"),)


@pytest.mark.parametrize(
    "name",
    [
        "sub-001/anat/sub-001_T2w.nii.gz",
        "sub-001/anat/sub-002_FLAIR.nii.gz",
        "sub-001/anat/sub-001_desc-brain_mask.nii.gz",
        "derivatives/fast/sub-001/anat/sub-001_label-WM_mask.nii.gz",
        "derivatives/fmriprep/sub-001/anat/sub-001_desc-aparcaseg_dseg.nii.gz",
        "derivatives/fmriprep/sub-001/anat/sub-001_space-MNI_T1w.nii.gz",
        "sub-001/anat/sub-001_FLAIR.json",
    ],
)
def test_what_is_left_out(name: str) -> None:
    assert not is_bids(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("sub-006/anat/sub-006_FLAIR.nii.gz", "sub-006 has no mask"),
        ("sub-006/anat/sub-006_mask.nii.gz", "sub-006 has no FLAIR"),
        ("sub-001/ses-2/anat/sub-001_ses-2_FLAIR.nii.gz", "sub-001 has 2 files that may be its FLAIR (sub-001/anat/"),
        ("derivatives/b/sub-001/sub-001_dseg.nii.gz", "sub-001 has 2 files that may be its mask (derivatives/b/"),
    ],
)
def test_what_leaves_doubt_is_named(name: str, problem: str) -> None:
    (found,) = bids([*folders.bids(), name]).problems
    assert found.startswith(problem)
