"""The lines of a stage on another host, read from a server of the test's own making."""

import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from gliaflow.hosts import logs
from gliaflow.hosts.logs import RunLogs

START = datetime(2030, 1, 1, tzinfo=UTC)


class Server:
    """Answers as Prefect's does: by time, so many at once."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    def add(self, seconds: float, message: str, name: str = "prefect.task_runs.lines") -> None:
        """A line of the log."""
        when = START + timedelta(seconds=seconds)
        self.kept.append(SimpleNamespace(id=uuid.uuid4(), timestamp=when, name=name, message=message))

    def read_logs(self, only: Any, limit: int, offset: int, sort: object) -> list[Any]:  # noqa: ARG002
        """Those after a time."""
        after = only.timestamp.after_ if only.timestamp else START
        found = [log for log in self.kept if log.timestamp >= after]
        return sorted(found, key=lambda log: log.timestamp)[offset : offset + limit]


def test_only_lines_of_stages_are_given_each_once() -> None:
    server, found = Server(), RunLogs(uuid.uuid4())
    server.add(1, "one")
    server.add(2, "Prefect's own", "prefect.task_runs")
    server.add(3, "two")
    assert list(found.new(server)) == ["one", "two"]  # type: ignore[arg-type]
    assert not found.behind
    assert list(found.new(server)) == []  # type: ignore[arg-type]
    server.add(2.5, "late")  # and out of order
    server.add(4, "three")
    assert list(found.new(server)) == ["late", "three"]  # type: ignore[arg-type]


def test_of_much_only_some_is_given_and_it_tells_that_there_is_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BATCH", 2)
    monkeypatch.setattr(logs, "BATCHES", 2)
    server, found = Server(), RunLogs(uuid.uuid4())
    for number in range(5):
        server.add(10 * number, str(number))
    # A request gives two lines; the next one begins 3 s before the last of them, which comes again.
    told = [(list(found.new(server)), found.behind) for _ in range(3)]  # type: ignore[arg-type]
    assert told == [(["0", "1", "2"], True), (["3", "4"], True), ([], False)]


def test_the_last_lines_are_read_until_none_is_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "BATCH", 2)
    monkeypatch.setattr(logs, "BATCHES", 1)
    monkeypatch.setattr(logs, "LAST_SECONDS", 0.0)
    server = Server()
    for number in range(4):
        server.add(10 * number, str(number))
    assert list(RunLogs(uuid.uuid4()).last(server)) == ["0", "1", "2", "3"]  # type: ignore[arg-type]
