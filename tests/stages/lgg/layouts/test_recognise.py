"""Which layout a folder has; a table wins, and what is in doubt is not guessed."""

import pytest

from stages.lgg.layouts.patients import Layout
from stages.lgg.layouts.recognise import recognise
from tests.stages.lgg import archives, folders

PNG = {"p/p_1.png": b"", "p/p_1_mask.png": b""}
TABLE = b"patient,pre,flair,post,mask\np,,x.nii,,y.nii\n"


def found(files: dict[str, bytes]) -> Layout:
    return recognise(files.keys(), files.__getitem__)


@pytest.mark.parametrize(
    ("files", "patients"),
    [
        (archives.sound({"sub-001": 2}), ["sub-001"]),
        (folders.nnunet(), ["BRATS_001", "BRATS_002"]),
        (folders.bids(2), ["sub-001", "sub-002"]),
        (PNG, ["p"]),
        ({"patients.csv": TABLE, "x.nii": b"", "y.nii": b""}, ["p"]),
        (folders.bids(2) | {"patients.csv": TABLE, "x.nii": b"", "y.nii": b""}, ["p"]),
        (archives.sound() | {"patients.csv": TABLE, "x.nii": b"", "y.nii": b""}, ["p"]),
        (folders.nnunet() | {"patients.csv": TABLE, "x.nii": b"", "y.nii": b""}, ["p"]),
    ],
)
def test_layouts(files: dict[str, bytes], patients: list[str]) -> None:
    layout = found(files)
    assert layout.problems == []
    assert [patient.patient for patient in layout.patients] == patients
    assert set(layout.files) <= files.keys()


def test_a_table_beside_another_layout() -> None:
    layout = found(PNG | {"patients.csv": b"patient,institution\np,Jena\n"})
    assert [patient.institution for patient in layout.patients] == ["Jena"]
    assert layout.files == ["p/p_1.png", "p/p_1_mask.png", "patients.csv"]
    several = {"dataset.json": folders.dataset(labels={"core": 1, "oedema": 2})}
    layout = found(folders.nnunet() | several | {"patients.csv": b"patient,labels\nBRATS_001,1 2\nBRATS_002,1 2\n"})
    assert layout.problems == []
    assert layout.tables == ("dataset.json", "patients.csv")


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({}, "no slice of any patient"),
        ({"notes.txt": b""}, "no image in it; layouts are <patient>/<patient>_<number>.tif"),
        ({"a/brain.nii.gz": b""}, "nothing says whose a/brain.nii.gz is; layouts are"),
        (folders.bids() | folders.nnunet(), "as nnU-Net and as BIDS"),
        (PNG | {"patients.csv": b"patient,age\np,3\n"}, "patients.csv: its columns are patient,age"),
        ({"a\tb/a\tb_1.png": b"", "a\tb/a\tb_1_mask.png": b""}, "'a\\tb' is no name"),
    ],
)
def test_what_is_no_layout(files: dict[str, bytes], problem: str) -> None:
    (only,) = found(files).problems
    assert problem in only
