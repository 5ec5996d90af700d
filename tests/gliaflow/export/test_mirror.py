"""What Prefect is told of the lines of a journal, in a table worked out by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.report import (
    Began,
    Event,
    Line,
    Message,
    Outcome,
    Report,
    Retry,
    RunStopped,
    StageEnded,
    StageResult,
)
from gliaflow.core.report import Summary as End
from gliaflow.export import mirror as module
from gliaflow.export.mirror import Mirror
from gliaflow.journal.reader import Tail
from tests.support.journals import BEGAN, WHOLE, written


def mirrored(folder: Path, events: Sequence[Event]) -> Mirror:
    """What is to be told of these events."""
    path = written(folder, folder, events)
    (first, _), *rest = Tail(path).new()
    made = Mirror(path)
    made.begin(first)
    made.flow_run = "f"
    for record, _ in rest:
        made.take(record)
    return made


def states(made: Mirror) -> list[tuple[str, str, str]]:
    """Task, state and message of each event."""
    keys = ("prefect.resource.name", "prefect.state-name", "prefect.state-message")
    return [(one["resource"][keys[0]], one["resource"][keys[1]], one["resource"][keys[2]]) for one in made.events]


def run(event: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = event["payload"]["task_run"]
    return found


def test_a_whole_run(tmp_path: Path) -> None:
    made = mirrored(tmp_path, WHOLE)
    assert states(made) == [
        ("one", "Running", ""),
        ("one", "Completed", "seed.txt changed"),
        ("two", "Cached", "unchanged"),
    ]
    began, ended, cached = made.events
    assert began["occurred"] == "2024-01-15T08:00:01+00:00"
    assert began["related"] == [{"prefect.resource.id": "prefect.flow-run.f", "prefect.resource.role": "flow-run"}]
    times = (run(ended)["start_time"], run(ended)["end_time"])
    assert times == ("2024-01-15T08:00:01+00:00", "2024-01-15T08:00:03+00:00")
    assert run(ended)["total_run_time"] == 2.0
    assert (run(cached)["start_time"], run(cached)["total_run_time"]) == ("2024-01-15T08:00:03.500000+00:00", 0.0)
    assert run(cached)["task_inputs"] == {"work": [{"input_type": "task_run", "id": made.tasks["one"].id}]}
    (log,) = made.logs
    assert (log["message"], log["task_run_id"], log["flow_run_id"]) == ("hello", made.tasks["one"].id, "f")
    assert made.over(crashed=False) == ("COMPLETED", "Completed", "1 of 2 stages reproduced")
    assert (made.began, made.last) == (BEGAN, BEGAN + 4)


def test_ids_follow_from_the_run(tmp_path: Path) -> None:
    path = written(tmp_path, tmp_path)
    ids = []
    for _ in range(2):
        made = Mirror(path)
        for record, offset in Tail(path).new():
            made.take(record) if made.first else made.begin(record)
            assert offset
        ids.append([one["id"] for one in made.events])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


@pytest.mark.parametrize(
    ("result", "state", "message"),
    [
        (StageResult("one", Outcome.FAILED, "it broke", tail=("a", "b")), "Failed", "it broke\na\nb"),
        (
            StageResult("one", Outcome.FAILED, error=InterruptedError("interrupted")),
            "Cancelled",
            "interrupted",
        ),
        (StageResult("one", Outcome.SKIPPED, "'zero' failed"), "Skipped", "'zero' failed"),
        (StageResult("one", Outcome.RESTORED), "Cached", "restored from run-cache"),
        (StageResult("one", Outcome.PULLED), "Cached", "pulled"),
        (StageResult("one", Outcome.SAVED), "Cached", "verified"),
        (StageResult("one", Outcome.RUN, "forced"), "Completed", "forced"),
    ],
)
def test_how_a_stage_ended(tmp_path: Path, result: StageResult, state: str, message: str) -> None:
    assert states(mirrored(tmp_path, [StageEnded(result)])) == [("one", state, message)]


def test_tries(tmp_path: Path) -> None:
    events = [
        Began("one", [], when=BEGAN),
        Retry("one", 2, 3, 5.0, "exited with 75", when=BEGAN + 1),
        Began("one", [], when=BEGAN + 6),
        StageEnded(StageResult("one", Outcome.RUN), when=BEGAN + 8),
    ]
    made = mirrored(tmp_path, events)
    assert [name for _, name, _ in states(made)] == ["Running", "AwaitingRetry", "Retrying", "Completed"]
    assert [run(one)["run_count"] for one in made.events] == [1, 1, 2, 2]
    waiting = made.events[1]["payload"]["validated_state"]
    assert waiting["state_details"] == {"scheduled_time": "2024-01-15T08:00:06+00:00"}
    assert run(made.events[3])["total_run_time"] == 8.0


@pytest.mark.parametrize(
    ("end", "crashed", "expected"),
    [
        (None, True, ("CRASHED", "Crashed", "its process was killed, or its machine went down")),
        (RunStopped("interrupted", cancelled=True), False, ("CANCELLED", "Cancelled", "interrupted")),
        (RunStopped("no disk", cancelled=False), False, ("FAILED", "Failed", "no disk")),
    ],
)
def test_a_run_that_ends_before_its_stages(
    tmp_path: Path, end: Event | None, crashed: bool, expected: tuple[str, str, str]
) -> None:
    made = mirrored(tmp_path, [Began("one", []), *([end] if end else [])])
    assert made.over(crashed) == expected
    assert states(made)[-1] == ("one", *expected[1:])
    first, last = made.events
    assert last["occurred"] > first["occurred"]  # or the server takes it for old


def test_a_run_with_failures(tmp_path: Path) -> None:
    bad = StageResult("one", Outcome.FAILED, "it broke")
    made = mirrored(tmp_path, [StageEnded(bad), End(Report((bad,)))])
    assert made.over(crashed=False) == ("FAILED", "Failed", "failed: one")


def test_of_many_lines_the_first_and_the_last_are_told_and_where_all_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_LINES", 3)
    monkeypatch.setattr(module, "LAST_LINES", 2)
    lines = [Line("one", str(number)) for number in range(9)]
    made = mirrored(tmp_path, [*lines, StageEnded(StageResult("one", Outcome.RUN))])
    (path,) = tmp_path.glob("*.jsonl")
    assert [one["message"] for one in made.logs] == ["0", "1", "2", f"… 4 more lines are in {path}", "7", "8"]


def test_logs_have_times_of_their_own_by_which_prefect_sorts_them(tmp_path: Path) -> None:
    made = mirrored(tmp_path, [Line("one", "a", when=BEGAN), Line("one", "b\0", when=BEGAN), Message("c", when=BEGAN)])
    assert [one["timestamp"][-15:] for one in made.logs] == ["T08:00:00+00:00", "00.000001+00:00", "00.000002+00:00"]
    assert [one["message"] for one in made.logs] == ["a", "b\ufffd", "c"]
    assert "task_run_id" not in made.logs[2]
