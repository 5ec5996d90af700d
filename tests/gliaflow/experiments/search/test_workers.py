"""Workers: individuals go on where they were begun; a worker that dies, hangs or leaks is replaced."""

import re
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.settings import Settings
from gliaflow.errors import UserError
from gliaflow.experiments.search import workers as module
from gliaflow.experiments.search.individuals import Trained
from gliaflow.experiments.search.workers import Door, Task, Workers, count
from tests.support.repos import environment

DOOR = Path(__file__).with_name("door.py")


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Workers]:
    """Make workers at the door of the tests."""
    shutil.copy(DOOR, tmp_path / "door.py")
    monkeypatch.setenv("GLIAFLOW_SLOTS", str(tmp_path / "slots"))

    def made(number: int = 2, say: Callable[[str], None] = print, **settings: Any) -> Workers:
        door = Door("door", str(tmp_path), environment(tmp_path), Settings(**settings))
        return Workers(door, number, number, say)

    return made


def task(name: str, until: int | None = None, **params: Any) -> Task:
    return Task(name, {"data": "d", "name": name, **params}, until)


def trained(workers: Workers, *tasks: Task) -> dict[str, Trained]:
    found: dict[str, Trained] = {}
    workers.train(tasks, lambda one, result: found.update({one.key: result}))
    assert found.keys() == {one.key for one in tasks}
    return found


def log(tmp_path: Path) -> list[list[str]]:
    return [line.split() for line in (tmp_path / "door.log").read_text().splitlines()]


def test_each_worker_loads_once_and_trains_many(make: Callable[..., Workers], tmp_path: Path) -> None:
    with make() as workers:
        found = trained(workers, *(task(f"n{number}", sleep=0.02) for number in range(8)))
        assert all(one.ended and len(one.epochs) == 3 for one in found.values())
    lines = log(tmp_path)
    assert len([line for line in lines if line[0] == "load"]) == 2
    assert len(workers.memory) == 8
    assert workers.replaced == 0


def test_one_goes_on_in_its_worker(make: Callable[..., Workers], tmp_path: Path) -> None:
    names = [f"n{number}" for number in range(6)]
    with make() as workers:
        first = trained(workers, *(task(name, 1, sleep=0.02) for name in names))
        assert all(not one.ended and len(one.epochs) == 1 for one in first.values())
        assert set(workers.homes) == set(names)
        workers.forget(names[3:])
        second = trained(workers, *(task(name, None, sleep=0.02) for name in names[:3]))
        assert all(one.ended and len(one.epochs) == 3 for one in second.values())
        assert workers.homes == {}
    epochs = Counter((line[1], line[2]) for line in log(tmp_path) if line[0] == "epoch")
    assert set(epochs.values()) == {1}
    pids = {name: {line[3] for line in log(tmp_path) if line[:2] == ["epoch", name]} for name in names}
    assert all(len(one) == 1 for one in pids.values())


def test_one_that_dies_is_replaced_and_the_individual_tried_again(make: Callable[..., Workers]) -> None:
    with make(1) as workers:
        found = trained(workers, task("a"), task("b", do="die once"), task("c"))
        assert [found[name].ended for name in "abc"] == [True] * 3
        assert workers.replaced == 1


def test_one_that_always_dies_fails_alone(make: Callable[..., Workers]) -> None:
    with make(1) as workers:
        found = trained(workers, task("a", do="die"), task("b", do="fail"), task("c"))
        assert found["a"].error == "its worker was killed by SIGKILL (out of memory?), 3 times"
        assert found["b"].error.startswith("ValueError: bad luck")
        assert found["c"].ended
        assert workers.replaced == 3


def test_what_a_worker_has_started_ends_with_it(make: Callable[..., Workers]) -> None:
    with make(1) as workers:
        found = trained(workers, task("a", do="fork and die"), task("b"))
        assert "was killed by SIGKILL" in found["a"].error
        assert found["b"].ended


def test_those_that_waited_in_a_worker_that_died_are_trained_anew(make: Callable[..., Workers]) -> None:
    with make(1) as workers:
        trained(workers, task("a", 1), task("b", 1))
        found = trained(workers, task("a", do="die once"), task("b"))
        assert [len(one.epochs) for one in found.values()] == [3, 3]


def test_a_time_limit(make: Callable[..., Workers]) -> None:
    with make(1, timeout=0.5) as workers:
        found = trained(workers, task("a", sleep=30), task("b"))
        assert "was killed by SIGKILL" in found["a"].error
        assert found["b"].ended


def test_a_leak(make: Callable[..., Workers], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAK_BYTES", 100 << 20)
    said: list[str] = []
    with make(1, said.append) as workers:
        found = trained(workers, task("a"), task("b", do="leak"), task("c"))
        assert all(one.ended for one in found.values())
        assert workers.replaced == 1
        hosts = [one.host >> 20 for one in workers.memory]
        assert hosts[1] - hosts[0] > 150
        assert hosts[2] - hosts[0] < 50
    assert [re.sub(r"\d+", "N", one) for one in said] == [
        "a worker holds N MB more than after its first individual, and is replaced"
    ]


def test_data_that_only_a_new_process_can_load(make: Callable[..., Workers]) -> None:
    with make(1) as workers:
        found = trained(workers, task("a"), task("b", data="once"))
        assert found["b"].ended
        assert workers.replaced == 1


def test_a_module_that_offers_nothing_ends_all(tmp_path: Path, make: Callable[..., Workers]) -> None:
    (tmp_path / "door.py").write_text("")
    with (
        make(1) as workers,
        pytest.raises(UserError, match="module 'door', which a stage names for a search: it has no"),
    ):
        trained(workers, task("a"), task("b"))


def test_cancelled(make: Callable[..., Workers]) -> None:
    with make(1) as workers:
        threading.Timer(1.0, workers.cancel).start()
        with pytest.raises(InterruptedError):
            trained(workers, task("a", sleep=60))


def test_how_many(tmp_path: Path) -> None:
    one = {"GLIAFLOW_SLOTS": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    assert count(4, Settings(gpus=1), one) == 4
    two = {**one, "CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
    assert count(4, Settings(gpus=1), two) == 2
    assert count(4, Settings(), two) == 4
    assert count(1, Settings(gpus=1), two) == 1
