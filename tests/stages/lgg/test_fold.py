"""A fold end to end: whom it trains on, whom it scores, and that it is what split, weigh, train and evaluate give."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.lgg.split import SplitParams, split_patients
from stages.lgg.tables import read_slices, write_table
from stages.lgg.unet.checkpoint import load_model
from tests.stages.lgg.test_evaluate import write_truth_of
from tests.stages.lgg.test_train import ENVIRONMENT, SIZE, VALUES, squares
from tests.support.progress import without_progress

PATIENTS = [f"P{number}" for number in range(6)]
EVALUATE: dict[str, Any] = {"checkpoint": "best", "threshold": 0.5, "batch": 4, "threads": 1}
FOLD: dict[str, Any] = {"seed": 1, "epochs": 2, "side": None, "threads": 1}


def command(*words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-m", *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)


def fold(number: int, name: str = "fold") -> "subprocess.CompletedProcess[str]":
    outputs = ["--model", f"{name}/{number}.pt", "--patients", f"{name}/{number}.csv"]
    return command("stages.lgg.fold", "data", "--fold", str(number), "--of", "3", *outputs)


def write_params(**changes: Any) -> None:
    values = {"fold": FOLD, "train": VALUES, "evaluate": EVALUATE} | changes
    Path("params.yaml").write_text(json.dumps({"lgg": values}))


@pytest.fixture(autouse=True)
def _workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six patients of four slices, and parameters."""
    slices = squares(24, 3)
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data/images.npy", slices.images.numpy())
    np.save(tmp_path / "data/masks.npy", slices.masks.numpy())
    table = pd.DataFrame({"slice": range(24), "patient": np.repeat(PATIENTS, 4), "institution": "CS"})
    table["number"] = np.tile([1, 2, 3, 4], 6)
    table["tumour_px"] = slices.masks.numpy().sum((1, 2))
    write_table(table, tmp_path / "data/slices.csv")
    write_truth_of(tmp_path / "data", slices.masks.numpy(), table)
    monkeypatch.chdir(tmp_path)
    write_params()


def test_each_patient_is_scored_once_by_weights_that_do_not_know_him() -> None:
    scored: list[str] = []
    for number in (1, 2, 3):
        ended = fold(number)
        assert (ended.returncode, without_progress(ended.stderr)) == (0, [])
        assert ended.stdout.startswith(f"fold {number} of 3: dice_per_volume_mean 0.")
        table = pd.read_csv(f"fold/{number}.csv")
        assert table["fold"].tolist() == [number] * 2
        about = load_model(Path(f"fold/{number}.pt")).about
        assert set(about.validated_on) == set(table["patient"])
        assert sorted({*about.trained_on, *table["patient"]}) == PATIENTS
        scored += table["patient"].tolist()
    assert sorted(scored) == PATIENTS
    assert not list(Path(".state").rglob("*.pt"))


def test_it_is_what_the_stages_give_one_after_the_other() -> None:
    """The last weights count, whatever checkpoint lgg.evaluate names."""
    assert fold(2).returncode == 0
    split = split_patients(PATIENTS, SplitParams(seed=1, validation=1, folds=3, fold=2))
    write_table(split, Path("data/split.csv"))
    write_params(train=VALUES | {"epochs": 2}, evaluate=EVALUATE | {"checkpoint": "last"})
    for line in (
        "stages.lgg.weigh data/slices.csv data/split.csv --weights data/weights.csv",
        "stages.lgg.train data --model model --curves curves",
        "stages.lgg.evaluate data model --metrics e.json --patients p.csv --figures figures",
    ):
        ended = command(*line.split())
        assert ended.returncode == 0, ended.stderr
    one, other = load_model(Path("fold/2.pt")), load_model(Path("model/last.pt"))
    assert all(bool((a == other.unet.state_dict()[name]).all()) for name, a in one.unet.state_dict().items())
    table = pd.read_csv("fold/2.csv").drop(columns="fold")
    pd.testing.assert_frame_equal(table, pd.read_csv("p.csv"))


def test_slices_can_be_made_smaller() -> None:
    write_params(fold=FOLD | {"side": 16, "epochs": None}, train=VALUES | {"epochs": 1})
    table = read_slices(Path("data/slices.csv"))
    for name in ("images", "masks"):
        np.save(f"data/{name}.npy", np.load(f"data/{name}.npy").repeat(2, 1).repeat(2, 2))
    write_truth_of(Path("data"), np.load("data/masks.npy"), table)
    assert fold(1).returncode == 0
    about = load_model(Path("fold/1.pt")).about
    assert about.side == SIZE
    scored = pd.read_csv("fold/1.csv")
    of_scan = table[table["patient"].isin(scored["patient"])]["tumour_px"].sum() * 4
    assert scored["tumour_px"].sum() == of_scan  # on the grid of the scan, whatever was trained on


def test_bad_parameters_are_one_line() -> None:
    start = {"weights": "old.pt", "layers": "all", "rate": 0.1}
    write_params(train=VALUES | {"start": start})
    ended = fold(1)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: lgg.train.start.weights: folds train from first weights alone; set it to none\n"
    write_params(fold=FOLD | {"epochs": 0})
    assert "lgg.fold.epochs is 0" in fold(1).stderr
    assert not Path("fold").exists()
