"""Journals are read while they grow, with what killed runs left in them, and with what newer ones write."""

import json
from pathlib import Path

import pytest

from gliaflow.core.report import Began, Event, Line, Outcome, Report, RunStopped, StageEnded, StageResult, Summary
from gliaflow.journal.reader import StageRun, Tail, lines, names, seen
from tests.support.journals import BEGAN, WHOLE, journal, written

BAD = StageResult("one", Outcome.FAILED, "it broke")


def test_whoever_asks_again_gets_what_is_new(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.write_bytes(b'{"is": "a"}\nno json\n[1]\n{"is": "b"}\n{"is": "c')
    tail = Tail(path)
    assert [record["is"] for record, _ in tail.new()] == ["a", "b"]
    assert list(tail.new()) == []
    with path.open("ab") as file:
        file.write(b'"}\n{"is": "d"}\n')
    found = list(tail.new())
    assert [record["is"] for record, _ in found] == ["c", "d"]
    assert found[-1][1] == tail.offset == path.stat().st_size


def test_lines_longer_than_what_is_read_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gliaflow.journal.reader.CHUNK", 7)
    path = tmp_path / "run.jsonl"
    path.write_text("".join(json.dumps({"is": "x" * number}) + "\n" for number in range(30)))
    assert [len(str(record["is"])) for record, _ in Tail(path).new()] == list(range(30))


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (WHOLE, "completed"),
        ([StageEnded(BAD), Summary(Report((BAD,)))], "failed"),
        ([RunStopped("interrupted", cancelled=True)], "cancelled"),
        ([RunStopped("a bug", cancelled=False)], "failed"),
        (WHOLE[:2], "crashed"),
    ],
)
def test_how_a_run_ended(tmp_path: Path, events: list[Event], state: str) -> None:
    assert seen(written(tmp_path, tmp_path, events)).state == state


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    made = journal(tmp_path, tmp_path, WHOLE[:2])
    assert seen(made.path).state == "running"
    made.close()


def test_stages_and_times(tmp_path: Path) -> None:
    found = seen(written(tmp_path, tmp_path))
    one = StageRun("one", BEGAN + 1, BEGAN + 3, "RUN", "seed.txt changed", 2.0)
    assert found.stages == {"one": one, "two": StageRun("two", None, BEGAN + 3.5, "UNCHANGED")}
    assert (found.began, found.seconds) == (BEGAN, 4.0)


def test_the_lines_of_some_stages(tmp_path: Path) -> None:
    events = [Began("one", []), Line("one", "a"), Line("two", "b"), Line("one", "c")]
    path = written(tmp_path, tmp_path, events)
    assert names(path) == ["one", "two"]
    assert list(lines(path)) == [("one", "a"), ("two", "b"), ("one", "c")]
    assert list(lines(path, {"one"})) == [("one", "a"), ("one", "c")]


def test_what_a_newer_one_wrote_is_passed_over(tmp_path: Path) -> None:
    path = written(tmp_path, tmp_path)
    text = path.read_text().replace('"version": 1', '"version": 9, "colour": "red"')
    head, rest = text.split("\n", 1)
    path.write_text(f'{head}\n{{"is": "thought", "stage": "three"}}\n{rest}')
    assert seen(path).state == "completed"
    assert list(lines(path)) == [("one", "hello")]
