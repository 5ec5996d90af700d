"""Patients are split, never slices: disjoint, complete, and the same for any order of rows."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import BadInput, BadParameters
from stages.lgg.split import SplitParams, main, split_patients
from stages.lgg.tables import read_split, write_table
from stages.params import load

ROOT = Path(__file__).parents[3]
PATIENTS = [f"TCGA_DU_{number:04}_19950101" for number in range(110)]

names = st.lists(st.sampled_from(PATIENTS), min_size=2, unique=True)


def params(seed: int = 777, validation: int = 30, folds: int | None = None, fold: int | None = None) -> SplitParams:
    return SplitParams(seed=seed, validation=validation, folds=folds, fold=fold)


def subset(split: pd.DataFrame, name: str) -> list[str]:
    return split.loc[split["subset"] == name, "patient"].tolist()


@given(names, st.integers(0, 9), st.data())
def test_a_single_split_is_disjoint_complete_and_of_the_size_asked(
    patients: list[str], seed: int, data: st.DataObject
) -> None:
    validation = data.draw(st.integers(0, len(patients) - 1))
    split = split_patients(patients, params(seed, validation))
    assert split["patient"].tolist() == sorted(patients)
    assert set(split["subset"]) == ({"train", "validation"} if validation else {"train"})
    assert len(subset(split, "validation")) == validation


@given(names, st.integers(0, 9), st.data())
def test_folds_partition_the_patients_evenly(patients: list[str], seed: int, data: st.DataObject) -> None:
    folds = data.draw(st.integers(2, len(patients)))
    splits = [split_patients(patients, params(seed, folds=folds, fold=fold)) for fold in range(1, folds + 1)]
    held_out = [subset(split, "validation") for split in splits]
    assert sorted(patient for fold in held_out for patient in fold) == sorted(patients)
    sizes = {len(fold) for fold in held_out}
    assert max(sizes) - min(sizes) <= 1
    for split, fold in zip(splits, held_out, strict=True):
        assert set(subset(split, "train")) == set(patients) - set(fold)


@given(names, st.data())
def test_neither_order_nor_repetition_of_the_rows_matters(patients: list[str], data: st.DataObject) -> None:
    rows = data.draw(st.permutations(patients + patients[:3]))
    assert split_patients(rows, params(validation=1)).equals(split_patients(patients, params(validation=1)))


@given(names)
def test_a_new_patient_leaves_the_order_of_the_others(patients: list[str]) -> None:
    def order(of: list[str]) -> list[str]:
        """Patients in the order in which ever larger validation sets take them in."""
        sets = [set(subset(split_patients(of, params(validation=size)), "validation")) for size in range(1, len(of))]
        return [(after - before).pop() for before, after in zip([set(), *sets], sets, strict=False)]

    whole = order([*patients, "TCGA_EZ_7264_20010816"])
    kept = [patient for patient in whole if patient != "TCGA_EZ_7264_20010816"]
    assert kept[: len(patients) - 1] == order(patients)[: len(kept)]


def test_the_draw_by_hand() -> None:
    digests = {name: hashlib.sha256(f"5/{name}".encode()).hexdigest()[:4] for name in ("a", "b", "c", "d")}
    assert digests == {"a": "04b9", "b": "648c", "c": "1e8f", "d": "51d9"}  # so: a, c, d, b
    assert subset(split_patients("abcd", params(5, 2)), "validation") == ["a", "c"]
    assert subset(split_patients("abcd", params(5, folds=3, fold=1)), "validation") == ["a", "b"]
    assert subset(split_patients("abcd", params(5, folds=3, fold=2)), "validation") == ["c"]


def test_another_seed_draws_others() -> None:
    drawn = {tuple(subset(split_patients(PATIENTS, params(seed)), "validation")) for seed in range(20)}
    assert len(drawn) == 20


@pytest.mark.parametrize("validation", [4, 5])
def test_someone_must_train(validation: int) -> None:
    reason = rf"lgg\.split\.validation is {validation}: of 4 patients at least one must train"
    with pytest.raises(BadParameters, match=reason):
        split_patients("abcd", params(validation=validation))
    assert len(split_patients("abcd", params(validation=3))) == 4


def test_more_folds_than_patients() -> None:
    with pytest.raises(BadParameters, match=r"lgg\.split\.folds is 5: there are 4 patients"):
        split_patients("abcd", params(folds=5, fold=1))
    assert subset(split_patients("abcd", params(validation=30, folds=4, fold=4)), "train") != []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    table = {"slice": range(8), "patient": list("bbaaddcc"), "institution": "DU", "number": [1, 2] * 4, "tumour_px": 1}
    write_table(pd.DataFrame(table), tmp_path / "slices.csv")
    return tmp_path


def write_params(folder: Path, **changes: object) -> None:
    values: Mapping[str, Any] = {"seed": 5, "validation": 1, "folds": None, "fold": None} | changes
    lines = [f"    {key}: {'null' if value is None else value}" for key, value in values.items()]
    (folder / "params.yaml").write_text("\n".join(["lgg:", "  split:", *lines, ""]), encoding="utf-8")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"folds": 5}, r"lgg\.split\.fold is None: folds is 5; give one from 1 to 5"),
        ({"fold": 1}, r"lgg\.split\.fold is 1: folds is null; give both, or null for both"),
        ({"folds": 5, "fold": 6}, r"lgg\.split\.fold is 6: folds is 5; give one from 1 to 5"),
        ({"folds": 5, "fold": 0}, r"lgg\.split\.fold is 0: input should be greater than or equal to 1"),
        ({"folds": 1, "fold": 1}, r"lgg\.split\.folds is 1: input should be greater than or equal to 2$"),
        ({"validation": -1}, r"lgg\.split\.validation is -1: input should be greater"),
        ({"seed": "x"}, r"lgg\.split\.seed is 'x': input should be a valid integer"),
    ],
)
def test_parameters_that_are_refused(folder: Path, changes: dict[str, object], reason: str) -> None:
    write_params(folder, **changes)
    with pytest.raises(BadParameters, match=reason):
        load(SplitParams, "lgg.split")


def test_the_stage(folder: Path) -> None:
    write_params(folder)
    main(Path("slices.csv"), split=Path("data/split.csv"))
    assert Path("data/split.csv").read_text() == "patient,subset\na,validation\nb,train\nc,train\nd,train\n"
    assert read_split(Path("data/split.csv")).equals(split_patients("abcd", params(5, 1)))


def test_a_missing_table(folder: Path) -> None:
    write_params(folder)
    with pytest.raises(BadInput, match=r"none\.csv: no such file"):
        main(Path("none.csv"), split=Path("split.csv"))


def test_the_command_refuses_in_one_line(folder: Path) -> None:
    write_params(folder, validation=4)
    failed = subprocess.run(
        [sys.executable, "-W", "error", "-m", "stages.lgg.split", "slices.csv", "--split", "split.csv"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2
    assert failed.stderr == "error: params.yaml: lgg.split.validation is 4: of 4 patients at least one must train\n"
    assert sorted(path.name for path in folder.iterdir()) == ["params.yaml", "slices.csv"]
