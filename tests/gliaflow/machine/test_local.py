"""Stages as processes of this host: what they reserve, how often they are tried, and what their ends mean."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Commands, Ended, Prepared, Task
from gliaflow.core.report import Began, Line, Message, Outcome
from gliaflow.core.settings import Settings
from gliaflow.errors import CommandFailed, UserError
from gliaflow.machine.local import LocalExecutor
from tests.support.fakes import Ear


@pytest.fixture
def executor(tmp_path: Path) -> Iterator[LocalExecutor]:
    """Two CPU slots of the test's own, and no GPU."""
    made = LocalExecutor(2, {"GLIAFLOW_SLOTS": str(tmp_path / "slots"), "PATH": "", "CUDA_VISIBLE_DEVICES": ""})
    yield made
    made.close()


def run(executor: LocalExecutor, line: str, settings: Settings | None = None) -> tuple[Ended, Ear]:
    """One try of a stage of this shell line; its slots are free afterwards."""
    commands = Commands([line], [["/bin/sh", "-c", line]], "/", {"PATH": os.environ["PATH"]})
    stage, ear = Stage("s", (), settings or Settings()), Ear()
    lease = executor.reserve(stage)
    assert lease
    launched = executor.launch(Task(stage, Prepared(Outcome.RUN, commands=commands)), lease)
    ended = launched.wait(ear)
    launched.close()
    lease.release()
    return ended, ear


def test_slots_are_reserved_until_they_are_released(executor: LocalExecutor) -> None:
    one, both = Stage("one"), Stage("both", (), Settings(cpus=2))
    assert executor.ahead == 2
    first = executor.reserve(one)
    assert first
    assert executor.reserve(both) is None
    second = executor.reserve(one)
    assert second
    assert executor.reserve(one) is None
    first.release()
    second.release()
    whole = executor.reserve(both)
    assert whole
    whole.release()


def test_a_stage_is_tried_once_and_as_often_as_it_may_again(executor: LocalExecutor) -> None:
    assert [executor.tries(Stage("s", (), Settings(retries=number))) for number in (0, 2)] == [1, 3]
    assert executor.accepts(Stage("s", (), Settings(pool="gpu")))
    assert not executor.travels


def test_one_that_ends_well_told_its_lines(executor: LocalExecutor) -> None:
    ended, ear = run(executor, "echo a; echo b")
    assert ended == Ended()
    began, *lines = ear.events
    assert isinstance(began, Began)
    assert (began.address, began.commands) == ("s", ["echo a; echo b"])
    assert [(one.address, one.text) for one in lines if isinstance(one, Line) and one.whole] == [("s", "a"), ("s", "b")]


def test_a_stage_knows_its_threads_and_prints_unbuffered(executor: LocalExecutor) -> None:
    line = '[ "$OMP_NUM_THREADS" = 3 ] && [ "$PYTHONUNBUFFERED" = 1 ]'
    assert run(executor, line, Settings(threads=3))[0] == Ended()


@pytest.mark.parametrize(("code", "again"), [(3, False), (75, True), (42, True)])
def test_an_exit_code_is_an_error_and_some_are_worth_another_try(
    executor: LocalExecutor, code: int, again: bool
) -> None:
    ended, _ = run(executor, f"exit {code}", Settings(retries=1, retry_delay=4.0, retry_on=(42,)))
    assert isinstance(ended.error, CommandFailed)
    assert ended.error.code == code
    assert (ended.again, ended.delay) == (again, 4.0)


def test_a_program_that_is_not_there_is_the_users(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "no-such-program-at-all")
    assert isinstance(ended.error, UserError)
    assert "a command of it was not found; install it or change `cmd:` in dvc.yaml" in str(ended.error)
    assert not ended.again


def test_a_stage_that_takes_too_long_is_ended_and_may_be_tried_again(executor: LocalExecutor) -> None:
    ended, _ = run(executor, "sleep 1200", Settings(timeout=0.2))
    assert isinstance(ended.error, TimeoutError)
    assert str(ended.error) == "ran longer than its timeout of 0.2 s and was ended"
    assert ended.again


def test_what_is_left_running_is_ended_and_told(executor: LocalExecutor) -> None:
    ended, ear = run(executor, "sleep 1200 &")
    assert ended == Ended()
    assert [one.text for one in ear.events if isinstance(one, Message)] == ["s: ended 1 processes that it left running"]
