"""Which series is which sequence, by what scanners write."""

import re
from pathlib import Path

import pytest

from stages.errors import BadInput
from stages.lgg.inference.studies import sequence, studies
from tests.stages.lgg import labs


def files(folder: Path) -> list[Path]:
    """All of them, in order."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


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
    found = list(studies(files(tmp_path)))
    assert [one.name for one in found] == ["anna", "bert"]
    for name, sequences, problem in found:
        assert problem == ""
        assert {what: len(files) for what, files in sequences.items()} == {"pre": 5, "flair": 5, "post": 5}
        assert {path.parts[-3:-1] for path in sequences["flair"]} == {(name, "flair")}


@pytest.mark.parametrize(
    ("description", "said"),
    [("Ax T2", "no FLAIR among its series"), ("Ax FLAIR", "'Ax FLAIR' and 'Ax FLAIR' may both be FLAIR; keep one")],
)
def test_what_is_missing_or_ambiguous_is_refused(tmp_path: Path, description: str, said: str) -> None:
    labs.study(tmp_path / "in", labs.pixels(), SeriesDescription=description)
    [found] = studies(files(tmp_path))
    assert found.sequences == {}
    assert re.search(said, found.problem)


def test_a_damaged_file_does_not_hide_a_study(tmp_path: Path) -> None:
    labs.study(tmp_path / "in", labs.pixels())
    whole = (tmp_path / "in/flair/IM0000").read_bytes()
    (tmp_path / "z").mkdir()
    (tmp_path / "z/cut.dcm").write_bytes(whole[:140])
    damaged, found = studies(files(tmp_path))
    assert (damaged.name, found.name, found.problem) == ("z", "in", "")
    assert "cut.dcm says of no series" in damaged.problem


def test_without_pydicom_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labs.study(tmp_path, labs.pixels())
    monkeypatch.setattr("stages.lgg.inference.studies.find_spec", lambda _: None)
    with pytest.raises(BadInput, match="pip install pydicom"):
        list(studies(files(tmp_path)))
