"""nnU-Net's folders: channels by their names, labels by theirs."""

import re
from typing import Any

import pytest

from stages.lgg.layouts.nnunet import nnunet
from stages.lgg.layouts.patients import Layout, Volumes
from tests.stages.lgg import folders


def layout(channels: dict[str, str] = folders.CHANNELS, labels: dict[str, Any] = folders.LABELS, *more: str) -> Layout:
    return nnunet([*folders.nnunet(), *more], folders.dataset(channels, labels))


def only_problem(found: Layout) -> str:
    (problem,) = found.problems
    return problem


def test_patients() -> None:
    found = layout()
    assert found.problems == []
    assert found.patients[0] == Volumes(
        "BRATS_001",
        flair="imagesTr/BRATS_001_0001.nii.gz",
        mask="labelsTr/BRATS_001.nii.gz",
        pre="imagesTr/BRATS_001_0000.nii.gz",
        post="imagesTr/BRATS_001_0002.nii.gz",
        labels=frozenset({1}),
    )
    assert [patient.patient for patient in found.patients] == ["BRATS_001", "BRATS_002"]


@pytest.mark.parametrize("flair", ["FLAIR", "flair", "T2-FLAIR", "t2_flair", "T2f"])
def test_channels_have_many_names_and_may_be_missing(flair: str) -> None:
    found = layout({"0": "T2", "3": flair})
    assert found.problems == []
    assert found.patients[1] == Volumes(
        "BRATS_002", "imagesTr/BRATS_002_0003.nii.gz", "labelsTr/BRATS_002.nii.gz", labels=frozenset({1})
    )


def test_the_first_nnunet_wrote_the_other_way_round() -> None:
    text = b'{"modality": {"0": "T1", "1": "FLAIR"}, "labels": {"0": "background", "2": "tumour"}}'
    found = nnunet(folders.nnunet(), text)
    assert found.problems == []
    assert {patient.labels for patient in found.patients if isinstance(patient, Volumes)} == {frozenset({2})}


@pytest.mark.parametrize("channels", [{"0": "T1", "1": "T2"}, {"0": "FLAIR", "1": "T2-FLAIR"}, {"0": "CT"}])
def test_channels_that_leave_doubt(channels: dict[str, str]) -> None:
    assert f"dataset.json: its channels are {', '.join(channels.values())}: exactly one" in only_problem(
        layout(channels)
    )


def test_a_region_that_holds_all_labels_is_tumour() -> None:
    labels = {"background": 0, "whole tumour": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}
    patient = layout(labels=labels).patients[0]
    assert isinstance(patient, Volumes)
    assert patient.labels == frozenset({1, 2, 3})


def test_several_labels_are_not_guessed() -> None:
    labels = {"background": 0, "necrosis": 1, "oedema": 2}
    assert "its labels are necrosis, oedema, which may not all be tumour; add a region" in only_problem(
        layout(labels=labels)
    )
    told = nnunet(folders.nnunet(), folders.dataset(labels=labels), labels_told=True)
    assert told.problems == []


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b'{"channel_names": ["FLAIR"], "labels": {}}', b"\xff"])
def test_another_dataset_json(text: bytes) -> None:
    assert only_problem(nnunet(folders.nnunet(), text)).startswith("dataset.json: ")


def test_no_dataset_json() -> None:
    assert only_problem(nnunet(folders.nnunet(), None)).startswith("dataset.json is missing")


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("imagesTr/BRATS_003_0001.nii.gz", "BRATS_003 has no mask in labelsTr/"),
        ("labelsTr/BRATS_003.nii.gz", "BRATS_003 has no FLAIR in imagesTr/"),
        ("imagesTr/BRATS_003_0000.nii.gz", "BRATS_003 has no FLAIR in imagesTr/"),
        ("imagesTr/BRATS_003_1.nii.gz", "'imagesTr/BRATS_003_1.nii.gz' is not named imagesTr/<case>_<channel>.nii.gz"),
        ("imagesTr/BRATS_001_0001.png", "'imagesTr/BRATS_001_0001.png' is not named imagesTr/<case>"),
        ("labelsTr/BRATS_001.mha", "'labelsTr/BRATS_001.mha' is not named labelsTr/<case>.nii.gz"),
        ("labelsTr/BRATS_001.nii", "labelsTr/BRATS_001.nii.gz and labelsTr/BRATS_001.nii are the same volume"),
    ],
)
def test_what_is_not_whole_is_named(name: str, problem: str) -> None:
    assert re.match(re.escape(problem), only_problem(layout(folders.CHANNELS, folders.LABELS, name)))
