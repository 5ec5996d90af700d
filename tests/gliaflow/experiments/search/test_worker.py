"""A worker as a process: what it answers, what it keeps and gives up, and that it ends with its input."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gliaflow.experiments.search.workers import PROGRAM
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import environment

DOOR = Path(__file__).with_name("door.py")
Worker = subprocess.Popen[str]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """At the door of the tests."""
    shutil.copy(DOOR, tmp_path / "door.py")
    (tmp_path / "gc.py").write_text("raise SystemExit('a file of the user was taken for one of Python')")
    pipe = subprocess.PIPE
    line = ["python", str(PROGRAM), "door"]
    with subprocess.Popen(
        line, cwd=tmp_path, env=environment(tmp_path), stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        yield process
        process.kill()


def order(worker: Worker, **what: Any) -> None:
    assert worker.stdin
    worker.stdin.write(json.dumps(what) + "\n")
    worker.stdin.flush()


def answers(worker: Worker) -> list[dict[str, Any]]:
    """What it tells until an order is done."""
    assert worker.stdout
    found: list[dict[str, Any]] = []
    while not found or "epoch" in found[-1]:
        line = worker.stdout.readline()
        assert line, worker.stderr and worker.stderr.read()
        found.append(json.loads(line))
    return found


def train(worker: Worker, key: str, until: int | None = None, **params: Any) -> list[dict[str, Any]]:
    order(worker, train=key, params={"data": "d", "name": key, **params}, until=until)
    return answers(worker)


def log(tmp_path: Path) -> list[str]:
    return [line.rpartition(" ")[0] for line in (tmp_path / "door.log").read_text().splitlines()]


def test_epochs_and_the_end(worker: Worker, tmp_path: Path) -> None:
    told = train(worker, "a")
    assert [one.get("epoch") for one in told] == [1, 2, 3, None]
    assert told[1]["metrics"] == {"loss": 0.5}
    assert told[-1]["ended"] is True
    assert told[-1]["epochs"] == [{"loss": 1.0}, {"loss": 0.5}, {"loss": 1 / 3}]
    assert told[-1]["host"] > 0 or not Path("/proc/self/statm").exists()
    assert log(tmp_path) == ["load d", "epoch a 1", "epoch a 2", "epoch a 3"]


def test_the_data_stays_and_one_goes_on_where_it_was(worker: Worker, tmp_path: Path) -> None:
    assert train(worker, "a", until=1)[-1]["ended"] is False
    assert train(worker, "b", until=1)[-1]["ended"] is False
    told = train(worker, "a", until=2)
    assert (told[0]["epoch"], told[-1]["epochs"]) == (2, [{"loss": 1.0}, {"loss": 0.5}])
    order(worker, forget=["a", "nobody"])
    assert answers(worker)[0]["forgotten"] is True
    assert train(worker, "a", until=1)[0]["epoch"] == 1
    assert log(tmp_path) == ["load d", "epoch a 1", "epoch b 1", "epoch a 2", "epoch a 1"]


def test_other_data_is_loaded_and_nothing_goes_on_with_the_old(worker: Worker, tmp_path: Path) -> None:
    train(worker, "a", until=1)
    train(worker, "b", until=1, data="e")
    told = train(worker, "a", until=2)
    assert [one.get("epoch") for one in told] == [1, 2, None]
    assert [line for line in log(tmp_path) if line.startswith("load")] == ["load d", "load e", "load d"]


def test_a_failure_is_one_line_and_the_next_one_trains(worker: Worker) -> None:
    told = train(worker, "a", do="fail")
    assert told[-1]["error"] == "ValueError: bad luck (door.py:40)"
    assert told[-1]["epochs"] == [{"loss": 1.0}]
    assert train(worker, "b")[-1]["ended"] is True


def test_what_is_printed_is_no_answer(worker: Worker) -> None:
    assert train(worker, "a", do="print")[-1]["ended"] is True
    worker.kill()
    assert worker.stderr
    assert "noise\n" in worker.stderr.read()


def test_data_that_cannot_be_loaded(worker: Worker) -> None:
    assert "ValueError: no data" in train(worker, "a", data="broken")[-1]["error"]
    assert train(worker, "b")[-1]["ended"] is True
    assert "only a new process can" in train(worker, "c", data="once")[-1]["fresh"]


def test_it_ends_with_its_input_even_in_the_middle_of_an_epoch(worker: Worker) -> None:
    order(worker, train="a", params={"data": "d", "name": "a", "sleep": 60}, until=None)
    assert worker.stdin
    worker.stdin.close()
    assert worker.wait(COMMAND_SECONDS) == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "ModuleNotFoundError: No module named 'other'"),
        ("def load(params): ...", "it has no train"),
        ("", "it has no load and no train"),
        ("1 / 0", "ZeroDivisionError: division by zero (other.py:1)"),
    ],
)
def test_a_module_that_offers_nothing(tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "other.py").write_text(text)
    pipe, line = subprocess.PIPE, ["python", str(PROGRAM), "other"]
    with subprocess.Popen(line, cwd=tmp_path, env=environment(tmp_path), stdin=pipe, stdout=pipe, text=True) as process:
        order(process, train="a", params={}, until=None)
        assert answers(process)[0]["broken"].startswith(said)
        process.kill()
