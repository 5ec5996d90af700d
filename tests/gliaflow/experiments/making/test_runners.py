"""Runners that answer, die, and hang; each is a small program in place of the real one."""

import signal
import textwrap
import threading
from pathlib import Path

import pytest

from gliaflow.experiments.making import runners
from gliaflow.experiments.making.experiment import Order
from gliaflow.experiments.making.runners import TRIES, Runners
from gliaflow.experiments.making.setting import Setting, Wanted
from gliaflow.experiments.results import Experiment, Fate, Progress

SETTING = Setting(Wanted(), "/top", ".dvc", ".", "/folder", "/cache", "f00", "f00", {}, (), "", "/runs")
PROGRAM = """
import json, os, pathlib, sys, time
sys.stdin.readline()
for line in sys.stdin:
    if not line.strip():
        break
    order = json.loads(line)
    with open({log!r}, "a") as log:
        log.write(f"{{order['name']}} {{os.getpid()}}\\n")
    tried = pathlib.Path({log!r}).read_text().count(f"{{order['name']}} ")
    print(json.dumps({{"progress": "train"}}), flush=True)
    if order["name"] == "dies" or (order["name"] == "dies once" and tried == 1):
        sys.exit("last words")
    if order["name"] == "dies by a signal":
        os.kill(os.getpid(), {kill})
    if order["name"] == "hangs":
        sys.stdin.read()
        sys.exit(1)
    found = {{"name": order["name"], "params": {{}}, "fate": "done", "rev": "f00"}}
    print(json.dumps({{"experiment": found}}), flush=True)
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs note what they do: the name of each order, and their pid."""
    path = tmp_path / "log"
    program = textwrap.dedent(PROGRAM).format(log=str(path), kill=int(signal.SIGKILL))
    monkeypatch.setattr(runners, "BOOT", program)
    return path


def orders(*names: str) -> list[Order]:
    return [Order(f"key of {name}", name, {}, {}) for name in names]


def test_each_makes_several_in_the_order_of_the_queue(log: Path) -> None:
    heard: list[Progress | Experiment] = []
    found = Runners(SETTING, 1, heard.append).make(orders("a", "b", "c"))
    assert [one.name for one in found] == ["a", "b", "c"]
    lines = [line.split() for line in log.read_text().splitlines()]
    assert [name for name, _ in lines] == ["a", "b", "c"]
    assert len({pid for _, pid in lines}) == 1
    assert [one.text for one in heard if isinstance(one, Progress) and one.name == "a"] == ["", "train"]
    assert [one.name for one in heard if isinstance(one, Experiment)] == ["a", "b", "c"]


def test_one_that_dies_is_replaced_and_its_experiment_tried_again(log: Path) -> None:
    found = Runners(SETTING, 1, lambda _: None).make(orders("a", "dies once", "b"))
    assert [one.fate for one in found] == [Fate.DONE] * 3
    pids = [line.rsplit(maxsplit=1)[1] for line in log.read_text().splitlines()]
    assert len(set(pids)) == 2


def test_one_that_always_dies_fails_alone_with_its_last_words(log: Path) -> None:
    found = Runners(SETTING, 2, lambda _: None).make(orders("a", "dies", "dies by a signal", "b"))
    assert [one.fate for one in found] == [Fate.DONE, Fate.FAILED, Fate.FAILED, Fate.DONE]
    assert found[1].error == f"its process exited with 1: last words, {TRIES} times"
    assert found[1].tail == ["last words"]
    assert found[2].error == f"its process was killed by SIGKILL (out of memory?), {TRIES} times"
    assert log.read_text().count("dies by a signal") == TRIES


def test_an_interrupt_ends_what_runs(log: Path) -> None:
    def interrupt(one: Progress | Experiment) -> None:
        if isinstance(one, Progress) and (one.name, one.text) == ("hangs", "train"):
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        Runners(SETTING, 2, interrupt).make(orders("hangs", "a", "b"))
    assert log.read_text().count("hangs") == 1


def test_a_bug_ends_all(log: Path) -> None:
    def broken(_: Progress | Experiment) -> None:
        raise RuntimeError("bug")

    with pytest.raises(RuntimeError, match="bug"):
        Runners(SETTING, 2, broken).make(orders("a", "b"))
    assert not log.exists() or "b" not in log.read_text()
