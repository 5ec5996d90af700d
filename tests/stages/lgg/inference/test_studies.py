"""Which series is which sequence, by what scanners write."""

from pathlib import Path

import pytest

from stages.errors import BadInput
from stages.lgg.inference.studies import sequence, studies
from tests.stages.lgg import labs


@pytest.mark.parametrize(
    ("description", "agent", "expected"),
    [
        ("Ax T2 FLAIR", "", "flair"),
        ("t2_tirm_tra_dark-fluid", "", "flair"),
        ("AX FLAIR POST", "Magnevist", "flair"),
        ("Ax T1 SE", "", "pre"),
        ("T1 PRE GAD", "Magnevist", "pre"),
        ("SAG MPRAGE", "", "pre"),
        ("Ax T1 SE +C", "", "post"),
        ("AX T1 POST GD", "", "post"),
        ("T1_MPRAGE_CE", "", "post"),
        ("Ax T1", "Gadovist", "post"),
        ("AX T1 C+", "", "post"),
        ("t1 flair", "", "pre"),
        ("Ax T2 FSE", "", None),
        ("3-plane loc", "", None),
        ("DWI FLAIR b1000", "", None),
        ("advance FLAIR", "", "flair"),
    ],
)
def test_what_scanners_call_a_sequence(description: str, agent: str, expected: str | None) -> None:
    tags = {"Modality": "MR", "SeriesDescription": description, "ContrastBolusAgent": agent}
    assert sequence(tags) == expected
    assert sequence(tags | {"Modality": "CT"}) is None


def test_a_study_is_named_after_its_folder(tmp_path: Path) -> None:
    labs.study(tmp_path / "in/anna", labs.pixels())
    labs.study(tmp_path / "in/bert", labs.pixels(2), StudyInstanceUID="1.2.4")
    (tmp_path / "in/anna/DICOMDIR").write_bytes(bytes(128) + b"DICM")
    found = dict(studies(tmp_path / "in"))
    assert list(found) == ["anna", "bert"]
    for name, sequences in found.items():
        assert {what: len(files) for what, files in sequences.items()} == {"pre": 5, "flair": 5, "post": 5}
        assert {path.parts[-3:-1] for path in sequences["flair"]} == {(name, "flair")}


@pytest.mark.parametrize(
    ("description", "said"),
    [("Ax T2", "no FLAIR among its series"), ("Ax FLAIR", "'Ax FLAIR' and 'Ax FLAIR' may both be FLAIR; keep one")],
)
def test_what_is_missing_or_ambiguous_is_refused(tmp_path: Path, description: str, said: str) -> None:
    labs.study(tmp_path / "in", labs.pixels(), SeriesDescription=description)
    with pytest.raises(BadInput, match=said):
        list(studies(tmp_path))


def test_without_pydicom_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs.study(tmp_path, labs.pixels())
    monkeypatch.setattr("stages.lgg.inference.studies.find_spec", lambda _: None)
    with pytest.raises(BadInput, match="pip install pydicom"):
        list(studies(tmp_path))
