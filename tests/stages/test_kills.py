"""SIGKILL at random moments of training under `dvc repro`: the next one ends with the weights of an unbroken run.

`GLIAFLOW_KILLS` says how many, 3 by default.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.clones import Clone
from tests.support.patience import PATIENCE

KILLS = int(os.environ.get("GLIAFLOW_KILLS", "3"))
VICTIMS = ("training", "dvc and training", "dvc")  # the last leaves training behind as an orphan
EPOCHS = 5
SHORT = {
    "lgg__pack__side": 32, "lgg__train__epochs": EPOCHS, "lgg__train__network__width": 8, "lgg__train__threads": 1,
    "lgg__train__keep": "all",
}  # fmt: skip


@pytest.fixture(scope="module")
def clone(make_clone: Callable[[], Clone]) -> Clone:
    """All that comes before training is done."""
    made = make_clone()
    made.set(**SHORT)
    made.repro("lgg-weigh")
    return made


def training(parent: psutil.Process) -> psutil.Process:
    """The process of the training that `parent` started, once it is there."""
    for _ in range(50 * PATIENCE):
        for child in parent.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # dvc's git commands come and go
                if child.cmdline()[1:3] == ["-m", "stages.lgg.train"]:
                    return child
        time.sleep(0.02)
    raise AssertionError("dvc started no training")


def kill(root: Path, environment: dict[str, str], victim: str, epochs: int, seconds: float) -> None:
    """Start `dvc repro` and kill the victim so many epochs and seconds after training began, if it still runs then."""
    line = ["dvc", "repro", "lgg-train"]
    log = subprocess.DEVNULL
    with subprocess.Popen(line, cwd=root, env=environment, stdout=log, stderr=log, start_new_session=True) as dvc:
        trainer, seen = training(psutil.Process(dvc.pid)), set[int]()
        while len(seen) < epochs and dvc.poll() is None:
            for state in states(root):
                with suppress(FileNotFoundError):
                    seen.add(state.stat().st_mtime_ns)
            time.sleep(0.02)
        time.sleep(seconds)
        if "dvc" in victim:
            dvc.send_signal(signal.SIGKILL)
        if "training" in victim and trainer.is_running():
            trainer.send_signal(signal.SIGKILL)


def states(root: Path) -> Iterator[Path]:
    return (root / ".state/lgg-train").glob("*/state.pt")


def test_a_killed_training_ends_with_the_weights_of_an_unbroken_one(clone: Clone) -> None:
    draw = random.Random(777)
    untrained = (clone.root / "dvc.lock").read_bytes()
    began = time.monotonic()
    clone.repro("lgg-train")
    seconds = (time.monotonic() - began) / EPOCHS
    unbroken = clone.lock()["lgg-train"]
    resumed = 0
    for number in range(KILLS):
        # Or DVC would bring the weights back by the lock file, or by the run-cache.
        (clone.root / "dvc.lock").write_bytes(untrained)
        shutil.rmtree(clone.root / ".dvc/cache/runs")
        kill(
            clone.root,
            clone.environment,
            VICTIMS[number % len(VICTIMS)],
            draw.randrange(EPOCHS),
            draw.random() * seconds,
        )
        resumed += any(states(clone.root))
        clone.repro("lgg-train")
        assert clone.lock()["lgg-train"] == unbroken, f"kill {number}"
        assert not any(states(clone.root)), f"kill {number}"
        assert list((clone.root / "models").glob(".partial*")) == []
    assert resumed > KILLS / 3
