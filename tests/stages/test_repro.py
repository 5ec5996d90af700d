"""The pipeline under real `dvc repro`, at the size of the sample but with little training."""

import os
import shutil
from collections.abc import Callable

import pytest

from tests.support.clones import ROOT, Clone, read_lock

SHORT = {
    "lgg__train__epochs": 1,
    "lgg__train__network__width": 8,
    "lgg__train__threads": 1,  # two clones side by side on two cores: more threads would only wait for each other
    "lgg__evaluate__threads": 1,
    "lgg__transfer__training__steps_before": 4,
    "lgg__transfer__training__steps": 4,
    "mnist__train__epochs": 2,
    "mnist__train__batches": 20,
    "mnist__train__threads": 1,
    "mnist__transfer__steps": 2,
    "mnist__transfer__threads": 1,
}
UNTRAINED = ("download", "pack", "split", "weigh", "simulate")


@pytest.fixture(scope="module")
def clone(make_clone: Callable[[], Clone]) -> Clone:
    """All stages run once."""
    made = make_clone()
    made.set(**SHORT)
    (made.root / "dvc.lock").unlink(missing_ok=True)
    made.repro()
    made.commit()
    return made


def test_everything_ran_and_is_recorded(clone: Clone) -> None:
    assert len(clone.lock()) == 24
    assert clone.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
    assert clone.run("git", "status", "--porcelain").stdout == ""


def test_a_second_run_executes_nothing(clone: Clone) -> None:
    assert clone.repro() == []


def test_touched_files_change_nothing(clone: Clone) -> None:
    for path in [*clone.root.glob("stages/**/*.py"), *clone.root.glob("data/**/*"), clone.root / "requirements.lock"]:
        os.utime(path)
    assert clone.repro() == []


def test_more_epochs_run_alone_what_trains_the_unet_and_what_follows(clone: Clone) -> None:
    """The folds read the recipe too. Their own number of epochs stays, so what comes out of them is the same."""
    before = clone.lock()
    clone.set(lgg__train__epochs=2)
    ran = {"lgg-train", "lgg-evaluate", "lgg-export", *(f"lgg-fold@{number}" for number in range(1, 6))}
    assert set(clone.repro()) == ran
    assert {name for name, stage in clone.lock().items() if stage != before[name]} == ran
    clone.set(lgg__train__epochs=1)
    assert clone.repro() == []  # restored from the run-cache
    assert clone.lock() == before


def test_another_clone_leaves_the_same_lock_file(clone: Clone, make_clone: Callable[[], Clone]) -> None:
    other = make_clone()
    other.set(**SHORT)
    (other.root / "dvc.lock").unlink(missing_ok=True)
    other.repro()
    ours, theirs = clone.lock(), other.lock()
    assert theirs.keys() == ours.keys()
    assert [name for name in ours if theirs[name] != ours[name]] == []
    assert (other.root / "dvc.lock").read_bytes() == (clone.root / "dvc.lock").read_bytes()


def test_what_needs_no_training_is_as_in_the_committed_lock_file(clone: Clone) -> None:
    """Against the lock file in git, that another machine may have written."""
    made_here, committed = clone.lock(), read_lock(ROOT)
    names = [name for name in committed if name.split("@")[0].split("-")[1] in UNTRAINED]
    assert len(names) == 7
    assert [name for name in names if committed[name]["outs"] != made_here[name]["outs"]] == []


def test_a_failed_stage_leaves_outputs_that_checkout_brings_back(clone: Clone) -> None:
    split = clone.root / "data/lgg/split.csv"
    before = split.read_bytes()
    clone.set(lgg__split__validation=110)
    failed = clone.run("dvc", "repro", "lgg-split", expect=255)
    assert "Traceback" not in failed.stderr
    assert [line for line in failed.stderr.splitlines() if line.startswith("error: ")] != []
    assert not split.exists()
    assert list(split.parent.glob(".partial*")) == []
    clone.set(lgg__split__validation=30)
    clone.run("dvc", "checkout")
    assert split.read_bytes() == before
    assert clone.repro() == []


def test_the_report_names_every_models_metrics_and_the_figures(clone: Clone) -> None:
    shown = clone.run("gliaflow", "metrics", "--all").stdout
    for part in ("lgg", "mnist", "regression/constant", "regression/growing"):
        assert f"results/{part}/evaluate.json" in shown
        assert f"results/{part}/figures/" in shown
    assert "dice_per_volume_mean " in shown


def test_the_verbs_of_dvc_work(clone: Clone) -> None:
    assert "lgg-evaluate" in clone.run("dvc", "dag").stdout
    assert "dice_per_volume_mean" in clone.run("dvc", "metrics", "show").stdout
    clone.run("dvc", "plots", "show")
    page = (clone.root / "dvc_plots/index.html").read_text()
    assert "validation" in page
    assert "predictions" in page
    assert "dvc_plots" not in clone.run("git", "status", "--porcelain").stdout
    clone.run("dvc", "remote", "add", "-d", "--local", "shared", str(clone.root.parent / "remote"))
    clone.run("dvc", "push")
    shutil.rmtree(clone.root / ".dvc/cache")
    shutil.rmtree(clone.root / "models")
    clone.run("dvc", "pull")
    assert clone.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"


def test_an_experiment_of_few_steps_can_be_compared(clone: Clone) -> None:
    clone.run("dvc", "exp", "run", "-n", "one-step", "-S", "regression.train.epochs=1", "regression-evaluate@growing")
    shown = clone.run("dvc", "metrics", "diff").stdout
    assert "training_points_model_slope" in shown
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout")


def test_an_experiment_changes_one_parameter(clone: Clone) -> None:
    clone.run("dvc", "exp", "run", "-n", "threshold-forty", "-S", "lgg.evaluate.threshold=0.4")
    shown = clone.run("dvc", "exp", "show", "--csv").stdout
    assert "threshold-forty" in shown
    assert "dice_per_volume_mean" in clone.run("dvc", "metrics", "diff").stdout
    clone.run("git", "checkout", "-q", ".")
    clone.run("dvc", "checkout")
