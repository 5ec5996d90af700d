"""Scans are found by the names of their files; what is ambiguous is refused."""

import json
import re
from pathlib import Path

import pytest

from stages.errors import BadInput
from stages.lgg.inference.found import find
from stages.lgg.inference.reading import read


def touch(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def test_three_ways_to_name_a_scan(tmp_path: Path) -> None:
    touch(tmp_path / "a", "glioma_0000.nii.gz", "glioma_0001.nii.gz", "glioma_0002.NII")
    touch(tmp_path / "b/anat", "sub-1_ses-2_T1w.nii.gz", "sub-1_ses-2_ce-GD_T1w.nii.gz", "sub-1_ses-2_FLAIR.nii.gz")
    touch(tmp_path / "c", "eve_mask_9.tif", "eve_seg_10.png", "eve_10.tif", "eve_9.tif", "eve_9_mask.tif", "notes.txt")
    first, second, third = find([tmp_path])
    assert (first.name, second.name, third.name) == ("glioma", "sub-1_ses-2", "eve")
    for scan, names in ((first, ["_0000.nii.gz", "_0001.nii.gz", "_0002.NII"]),):
        assert scan.sequences is not None
        assert [scan.sequences[one][0].name for one in ("pre", "flair", "post")] == [f"glioma{name}" for name in names]
    assert second.sequences is not None
    assert second.sequences["post"][0].name == "sub-1_ses-2_ce-GD_T1w.nii.gz"
    assert third.sequences is None
    assert list(third.slices) == [9, 10]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x/a_T1w.nii.gz"], "a has no FLAIR"),
        (["x/a_FLAIR.nii.gz", "x/a_FLAIR.nii"], "may be the same image"),
        (["x/a_0001.nii.gz", "x/a_0003.nii.gz"], "dataset.json is missing, which says which channel is which sequence"),
        (["x/a_1.tif", "x/a_3.tif"], "a has slices 1 to 3, but none numbered 2"),
    ],
)
def test_what_is_wrong_with_one_scan_leaves_the_others(tmp_path: Path, names: list[str], words: str) -> None:
    touch(tmp_path, *names, "x/good_FLAIR.nii.gz")
    found = {scan.name: scan for scan in find([tmp_path])}
    assert found.keys() == {"a", "good"}
    assert words in found["a"].problem
    assert found["good"].problem == ""


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["x/notes.txt"], "no scan in it"),
        (["x/a_\udce9_1.tif"], "a name that cannot be printed"),
        (["x/a_FLAIR.nii.gz", "y/a_1.tif"], "are both of a; rename one scan"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        find([touch(tmp_path, *names)])


def test_labels_and_derivatives_hold_no_scan(tmp_path: Path) -> None:
    """Of nnU-Net, whose patients may be numbered as channels are; and of BIDS."""
    touch(tmp_path / "imagesTr", "amos_0001_0000.nii.gz", "amos_0001_0001.nii.gz")
    touch(tmp_path / "labelsTr", "amos_0001.nii.gz", "amos_0002.nii.gz")
    touch(tmp_path / "sub-1", "sub-1_FLAIR.nii.gz")
    touch(tmp_path / "derivatives/sub-1", "sub-1_FLAIR.nii.gz", "sub-2_T1w.nii.gz")
    assert [(scan.name, scan.problem) for scan in find([tmp_path])] == [("amos_0001", ""), ("sub-1", "")]


def test_a_folder_counts_once_and_a_link_to_nothing_is_a_file(tmp_path: Path) -> None:
    touch(tmp_path / "in/a", "a_FLAIR.nii.gz")
    (tmp_path / "in/a/up").symlink_to(tmp_path / "in")
    (tmp_path / "in/a/a_T1w.nii.gz").symlink_to(tmp_path / "nowhere")
    [scan] = find([tmp_path / "in", tmp_path / "in/a"])
    assert scan.sequences is not None
    assert list(scan.sequences) == ["flair", "pre"]
    with pytest.raises(BadInput, match=r"a_T1w\.nii\.gz: No such file or directory"):
        read(scan)


@pytest.mark.parametrize("place", ["imagesTs", "."])
def test_channels_are_what_dataset_json_calls_them(tmp_path: Path, place: str) -> None:
    """BraTS's order, in which the first three would be taken for others."""
    touch(tmp_path / "imagesTs", *(f"glioma_000{number}.nii.gz" for number in range(4)))
    channels = {"0": "T1", "1": "T1ce", "2": "T2", "3": "FLAIR"}
    (tmp_path / place / "dataset.json").write_text(json.dumps({"channel_names": channels, "labels": {}}))
    [found] = find([tmp_path / "imagesTs"])
    assert found.sequences is not None
    numbers = {sequence: path.name[-8] for sequence, (path,) in found.sequences.items()}
    assert numbers == {"pre": "0", "post": "1", "flair": "3"}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", r"dataset\.json: "),
        ("[]", "it has no channel_names"),
        ('{"modality": {"0": "T1", "1": "T2"}}', "its channels are T1, T2: exactly one must be FLAIR"),
    ],
)
def test_a_dataset_json_that_does_not_tell(tmp_path: Path, content: str, words: str) -> None:
    touch(tmp_path, "glioma_0000.nii.gz", "glioma_0001.nii.gz")
    (tmp_path / "dataset.json").write_text(content)
    [scan] = find([tmp_path])
    assert re.search(words, scan.problem)


def test_a_folder_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    (touch(tmp_path / "x", "a_1.tif").parent / "link").symlink_to(tmp_path / "x")
    assert [scan.name for scan in find([tmp_path / "x", tmp_path / "x/", tmp_path / "link"])] == ["a"]


def test_a_path_that_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file or folder"):
        find([tmp_path / "none"])
    with pytest.raises(BadInput, match="give the folder"):
        find([touch(tmp_path, "a.nii.gz") / "a.nii.gz"])
