"""What a journal holds, and what happens where it cannot be written."""

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.options import Options as Given
from gliaflow.core.report import (
    Line,
    Measured,
    Message,
    Outcome,
    Output,
    Recorded,
    Retry,
    RunBegan,
    RunStopped,
    StageEnded,
    StageResult,
)
from gliaflow.journal import writer
from gliaflow.journal.lock import held
from gliaflow.journal.seconds import last
from gliaflow.journal.writer import VERSION, Journal
from tests.support.journals import BEGAN, GRAPH, journal, written


def records(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, versions, *rest = records(written(tmp_path / "runs", tmp_path / "home", cache="/cache"))
    assert first["is"] == "run"
    assert first["version"] == VERSION
    assert first["when"] == BEGAN
    assert first["root"] == str(tmp_path)
    assert first["cache"] == "/cache"
    assert first["tags"] == [tmp_path.name]
    assert first["parameters"] == {"targets": ["two"], "flags": {"force": True}}
    assert first["stages"] == [{"name": "one", "upstreams": []}, {"name": "two", "upstreams": ["one"]}]
    assert [(one["is"], one.get("stage"), one["when"] - BEGAN) for one in rest] == [
        ("began", "one", 1.0),
        ("line", "one", 2.0),
        ("ended", "one", 3.0),
        ("ended", "two", 3.5),
        ("summary", None, 4.0),
    ]
    assert (versions["is"], versions["code"]) == ("versions", {})
    assert versions["packages"]["dvc"]
    assert rest[4]["locks"] == {}
    assert rest[2]["outputs"] == {"one.txt": "0123456789abcdef"}
    assert rest[4]["reproduced"] == 1
    assert last(tmp_path / "runs") == {"one": 2.0}


def test_what_was_said_before_the_run_began_is_in_it(tmp_path: Path) -> None:
    made = Journal(tmp_path, tmp_path, {}, ["team"])
    made.hear(Message("waiting for a lock"))
    assert not made.path.exists()
    made.hear(RunBegan(GRAPH, [], Given()))
    made.hear(Retry("one", 2, 3, 1.5, "the network is gone"))
    made.hear(RunStopped("interrupted", cancelled=True))
    assert held(made.path)
    made.close()
    assert not held(made.path)
    first, _, *rest = records(made.path)
    assert first["tags"][-1] == "team"
    assert [one["is"] for one in rest] == ["message", "retry", "stopped"]
    assert rest[1] | {"when": 0} == {
        "when": 0, "is": "retry", "stage": "one", "number": 2, "most": 3, "seconds": 1.5, "why": "the network is gone",
    }  # fmt: skip


def test_what_a_page_needs_of_a_stage_and_of_metrics(tmp_path: Path) -> None:
    result = StageResult("one", Outcome.RUN, slots=("cpu-0",))
    recorded = Recorded({"a": "1"}, {"rate": 0.5}, [Output("b", "2", "plot", 3, None, {"x": "step"})])
    measured = Measured([{"metric": "dice"}], [{"metric": "dice", "value": 0.123456789}])
    _, _, ended, metrics = records(written(tmp_path, tmp_path, [StageEnded(result, recorded), measured]))
    assert ended["slots"] == ["cpu-0"]
    assert ended["recorded"] == {
        "reads": {"a": "1"},
        "parameters": {"rate": 0.5},
        "outputs": [{"path": "b", "hash": "2", "kind": "plot", "size": 3, "files": None, "drawn": {"x": "step"}}],
    }
    assert metrics["rows"] == [{"metric": "dice"}]
    assert metrics["values"] == [{"metric": "dice", "value": 0.123456789}]


def test_lines_beyond_the_bound_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "MOST_BYTES", 2000)
    monkeypatch.setattr(writer, "environment", dict)
    lines = [Line("one", f"{number} \0 \udcff {'x' * 50}") for number in range(100)]
    *_, dropped = records(written(tmp_path, tmp_path, [*lines, RunStopped("over", cancelled=False)]))
    kept = sum(one["is"] == "line" for one in records(next(tmp_path.glob("*.jsonl"))))
    assert 5 < kept < 30
    assert dropped == {"is": "dropped", "lines": 100 - kept}


def test_a_full_disk_ends_the_journal_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = journal(tmp_path, tmp_path)

    def full() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(made, "_flush", full)
    made.hear(Message("more"))
    made.hear(Message("and more"))
    assert made.wrong == "No space left on device"
    assert not held(made.path)


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    made = Journal(tmp_path / "file/runs", tmp_path, {})
    made.hear(RunBegan(GRAPH, [], Given()))
    made.hear(Message("more"))
    assert made.wrong
    assert not made.path.exists()
