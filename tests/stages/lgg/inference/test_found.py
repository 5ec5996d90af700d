"""Scans are found by the names of their files; what is ambiguous is refused."""

from pathlib import Path

import pytest

from stages.errors import BadInput
from stages.lgg.inference.found import find


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_three_ways_to_name_a_scan(tmp_path: Path) -> None:
    touch(tmp_path / "a", "glioma_0000.nii.gz", "glioma_0001.nii.gz", "glioma_0002.nii", "glioma_0003.nii.gz")
    touch(tmp_path / "b/anat", "sub-1_ses-2_T1w.nii.gz", "sub-1_ses-2_ce-GD_T1w.nii.gz", "sub-1_ses-2_FLAIR.nii.gz")
    touch(tmp_path / "c", "eve_10.tif", "eve_2.tif", "eve_2_mask.tif", "notes.txt")
    first, second, third = find([tmp_path])
    assert (first.name, second.name, third.name) == ("glioma", "sub-1_ses-2", "eve")
    for scan, names in ((first, ["_0000.nii.gz", "_0001.nii.gz", "_0002.nii"]),):
        assert scan.sequences is not None
        assert [scan.sequences[one].name for one in ("pre", "flair", "post")] == [f"glioma{name}" for name in names]
    assert second.sequences is not None
    assert second.sequences["post"].name == "sub-1_ses-2_ce-GD_T1w.nii.gz"
    assert third.sequences is None
    assert list(third.slices) == [2, 10]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x/notes.txt"], "no scan in it"),
        (["x/a_T1w.nii.gz"], "a has no FLAIR"),
        (["x/a_FLAIR.nii.gz", "x/a_FLAIR.nii"], "may be the same image"),
        (["x/a_FLAIR.nii.gz", "y/a_1.tif"], "are both of a; rename one scan"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        find([touch(tmp_path, *names)])


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file or folder"):
        find([tmp_path / "none"])
    with pytest.raises(BadInput, match="give the folder"):
        find([touch(tmp_path, "a.nii.gz") / "a.nii.gz"])
