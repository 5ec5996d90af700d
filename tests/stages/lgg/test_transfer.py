"""Who is trained on and who is scored, the comparison as a command, and what is refused."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from stages.errors import BadParameters
from stages.lgg.pretrained.cohort import Cohort
from stages.lgg.tables import read_slices, write_table
from stages.lgg.transfer import PAIRS, TransferParams, compare, divide, main
from stages.params import load
from tests.support.progress import without_progress

ROOT = Path(__file__).parents[3]
ARMS = [
    "scratch", "scratch-longer", "phantoms", "reconstruction", "institutions", "institutions-frozen",
    "institutions-untuned",
]  # fmt: skip
RECIPE: dict[str, Any] = {
    "batch": 4,
    "loss": {"bce": 0.5, "dice": 0.5},
    "optimizer": {
        "name": "adamw", "learning_rate": 0.01, "momentum": 0.9, "weight_decay": 0.0, "schedule": "one-cycle",
    },
    "augment": {"scale": 0.05, "rotation_degrees": 15, "flip": 0.5},
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "steps_before": 4, "steps": 4, "rate": 0.3, "recipe": RECIPE,
    "network": {"encoder": "none", "width": 8, "depth": 2, "norm": "batch", "dropout": 0.0, "inserted": 0},
}  # fmt: skip
PARAMETERS: dict[str, Any] = {
    "seeds": [1, 2, 3], "target": "DU", "scored": 2, "scored_seed": 777, "labelled": 2, "phantoms": 2, "hidden": 0.5,
    "side": 16, "training": TRAINING, "threshold": 0.5, "threads": 1,
}  # fmt: skip
INSTITUTIONS = ["DU"] * 5 + ["HT"] * 2 + ["CS"]


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Eight patients of three institutions with four slices each, to be run in."""
    draw = np.random.default_rng(1)
    images = draw.integers(0, 60, (32, 32, 32, 3), dtype=np.uint8)
    masks = np.zeros((32, 32, 32), np.uint8)
    masks[:, 8:20, 10:22] = np.arange(32)[:, None, None] % 4 > 1
    images[..., 1] += 120 * masks
    patients = [f"TCGA_{name}_{number}_1" for number, name in enumerate(INSTITUTIONS) for _ in range(4)]
    table = {
        "slice": range(32), "patient": patients, "institution": [name.split("_")[1] for name in patients],
        "number": [row % 4 + 1 for row in range(32)], "tumour_px": masks.sum((1, 2)),
    }  # fmt: skip
    data = tmp_path / "data"
    data.mkdir()
    np.save(data / "images.npy", images)
    np.save(data / "masks.npy", masks)
    write_table(pd.DataFrame(table), data / "slices.csv")
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_params(folder: Path, **changed: Any) -> None:
    (folder / "params.yaml").write_text(json.dumps({"lgg": {"transfer": PARAMETERS | changed}}))  # JSON is YAML


def params(folder: Path, **changed: Any) -> TransferParams:
    write_params(folder, **changed)
    return load(TransferParams, "lgg.transfer", folder / "params.yaml")


def cohort(folder: Path) -> Cohort:
    images, masks = (np.load(folder / f"data/{name}.npy") for name in ("images", "masks"))
    return Cohort(read_slices(folder / "data/slices.csv"), images, masks, side=16, device=torch.device("cpu"))


def test_patients_are_parted_by_institution(workspace: Path) -> None:
    slices = read_slices(workspace / "data/slices.csv")
    others, pool, scored = divide(slices, params(workspace))
    assert others == ["TCGA_CS_7_1", "TCGA_HT_5_1", "TCGA_HT_6_1"]
    assert (len(pool), len(scored)) == (3, 2)
    assert sorted(pool + scored) == [f"TCGA_DU_{number}_1" for number in range(5)]
    again = divide(slices.iloc[::-1], params(workspace, seeds=[4, 5, 6]))
    assert again == (others, pool, scored)
    found = {tuple(divide(slices, params(workspace, scored_seed=seed)).scored) for seed in range(8)}
    assert len(found) > 2


def test_whoever_is_scored_is_trained_on_in_no_arm(workspace: Path) -> None:
    """Images of those who are scored change, and no network does."""
    chosen = params(workspace)
    whole = cohort(workspace)
    patients = divide(whole.table, chosen)
    rows = whole.table["patient"].isin(patients.scored).to_numpy()
    changed = whole._replace(images=whole.images.copy(), masks=whole.masks.copy())
    changed.images[rows] = 255 - changed.images[rows]
    found = list(compare(whole, patients, chosen))
    # Networks are the same, for one patient scores as before when the other one's images change.
    one = whole.table["patient"].to_numpy() == patients.scored[0]
    changed.images[one] = whole.images[one]
    again = list(compare(changed, patients, chosen))
    assert [row for row in again if row.patient == patients.scored[0]] == [
        row for row in found if row.patient == patients.scored[0]
    ]
    assert again != found


def test_a_row_for_each_seed_arm_and_patient_of_which_other_seeds_change_nothing(workspace: Path) -> None:
    whole, chosen = cohort(workspace), params(workspace)
    patients = divide(whole.table, chosen)
    found = list(compare(whole, patients, chosen))
    assert [row[:3] for row in found] == [
        (seed, arm, patient) for seed in (1, 2, 3) for arm in ARMS for patient in patients.scored
    ]
    other = list(compare(whole, patients, params(workspace, seeds=[2, 7, 8])))
    assert [row for row in other if row.seed == 2] == [row for row in found if row.seed == 2]
    assert {row.seed for row in other} == {2, 7, 8}


def command(folder: Path) -> "subprocess.CompletedProcess[str]":
    line = [
        sys.executable, "-W", "error", "-m", "stages.lgg.transfer", "data", "--table", "t.csv", "--metrics", "t.json",
        "--figure", "t.png",
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_the_command_writes_the_same_bytes_each_time(workspace: Path) -> None:
    names = ("t.csv", "t.json", "t.png")
    first = command(workspace)
    assert (first.returncode, without_progress(first.stderr)) == (0, [])
    written = [(workspace / name).read_bytes() for name in names]
    assert command(workspace).stdout == first.stdout
    assert [(workspace / name).read_bytes() for name in names] == written

    table, metrics = pd.read_csv(workspace / "t.csv"), json.loads((workspace / "t.json").read_text())
    assert list(table.columns) == ["seed", "arm", "patient", "dice_per_volume"]
    assert len(table) == 3 * 7 * 2
    means = table.groupby("arm").dice_per_volume.mean().to_dict()
    assert {arm: found["mean"] for arm, found in metrics["dice_per_volume_mean"].items()} == pytest.approx(means)
    assert list(metrics["dice_per_volume_mean_difference"]) == [f"{one} minus {other}" for one, other in PAIRS]
    assert metrics["target"] == "DU"
    assert metrics["patients_of_others"] == 3
    assert metrics["slice_size_px"] == 16
    lines = first.stdout.splitlines()
    assert lines[0] == "dice_per_volume_mean, its 95 % intervals over patients and over seeds"
    assert [line.split()[0] for line in lines[1:8]] == ARMS
    assert lines[1].split()[1] == f"{means['scratch']:.3f}"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"target": "EZ"}, "lgg.transfer.target is EZ, and there must be others; there are CS, DU, HT"),
        ({"scored": 4}, "lgg.transfer: DU has 5 patients, too few for 4 to score and 2 to train on"),
        (
            {"side": 33},
            "lgg.transfer.side is 33: give a multiple of 2 up to the side of the slices, which are 32 × 32 px",
        ),
        (
            {"side": 34},
            "lgg.transfer.side is 34: give a multiple of 2 up to the side of the slices, which are 32 × 32 px",
        ),
        (
            {"side": 16, "training": TRAINING | {"network": TRAINING["network"] | {"depth": 5}}},
            "lgg.transfer: batch normalisation has one pixel at the lowest level; lower the depth",
        ),
    ],
)
def test_what_does_not_fit_the_data_is_refused(changed: dict[str, Any], message: str, workspace: Path) -> None:
    write_params(workspace, **changed)
    with pytest.raises(BadParameters) as caught:
        main(Path("data"), table=Path("t.csv"), metrics=Path("t.json"), figure=Path("t.png"))
    assert str(caught.value) == message
    assert not list(workspace.glob("*t.*"))


def test_a_draw_without_tumour_is_refused(workspace: Path) -> None:
    whole, chosen = cohort(workspace), params(workspace)
    patients = divide(whole.table, chosen)
    whole.masks[whole.table["patient"].isin(patients.pool).to_numpy()] = 0
    with pytest.raises(BadParameters, match=r"^lgg.transfer.seeds: the patients that 1 draws have no tumour; give"):
        list(compare(whole, patients, chosen))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": [1, 2]}, "lgg.transfer.seeds is "),
        ({"seeds": [1, 2, 2]}, "lgg.transfer.seeds is .*: a seed stands in it twice"),
        ({"hidden": 0}, "lgg.transfer.hidden is 0"),
        ({"labelled": 0}, "lgg.transfer.labelled is 0"),
        ({"training": TRAINING | {"rate": 0}}, "lgg.transfer.training.rate is 0"),
        ({"training": TRAINING | {"steps": 3}}, "lgg.transfer.training.steps is 3"),
        ({"step": 3}, "lgg.transfer.step is not a known parameter"),
    ],
)
def test_bad_parameters_are_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(BadParameters, match=message):
        params(tmp_path, **changed)
