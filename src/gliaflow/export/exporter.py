"""Sends one journal to a Prefect server: what was written since the last time, as often as one asks."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from gliaflow.core.report import Outcome, StageResult
from gliaflow.export import marks
from gliaflow.export.artifacts import Artifact, artifacts
from gliaflow.export.client import Client, Unreachable
from gliaflow.export.marks import Mark
from gliaflow.export.mirror import Mirror
from gliaflow.journal.lock import alone, held
from gliaflow.journal.reader import Record, Tail, asked, number, used

FLOW = "repro"
BATCH = 200  # events or logs of one request: as many logs as the server returns at once


class Busy(Exception):
    """Another process sends this journal."""


class Exporter:
    """The way of one journal to one server, which is called `server` in the marks. Use it in `with`.

    With `anew` the server is told all, whatever the marks say.

    Raises:
        Busy: another process sends the journal.
    """

    def __init__(self, client: Client, path: Path, server: str, anew: bool = False) -> None:
        self.path, self.done = path, False
        self._anew = anew
        self.mirror = Mirror(path)
        self._client, self._server = client, server
        self._tail, self._open = Tail(path), ExitStack()
        self._sure = True  # whether every request so far was answered, to this process
        self._artifacts: list[Artifact] | None = None

    def __enter__(self) -> "Exporter":
        if not self._open.enter_context(alone(marks.path_of(self.path))):
            raise Busy
        self._mark = Mark() if self._anew else marks.read(self.path, self._server)
        self.done = self._mark.done
        self.mirror.flow_run = self._mark.flow_run
        self._sure = not self._mark.flow_run
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def advance(self, over: bool = False) -> None:
        """Send what is new; `over` tells that the process of the run has ended.

        Raises:
            Unreachable: the server did not take all; the next call goes on.
        """
        if self.done:
            return
        over = over or not held(self.path)  # asked before the last lines are read
        mirror = self.mirror
        if not mirror.first and not self._begun():
            self.done = over  # it was killed before it had written a line
        if self.done or not mirror.first:
            return
        if not mirror.flow_run:
            mirror.flow_run = self._created()
            self._note()
        self._read()
        self._flush()
        if over or mirror.end:
            self._finish(crashed=mirror.end is None)

    def meant(self) -> bool:
        """Whether the server was the configured one when the run began, so that it is to know of it."""
        return bool(self.mirror.first or self._begun()) and self.mirror.first.get("server") == self._server

    def cancelled(self) -> bool:
        """Whether somebody asked on the server that the run be cancelled."""
        if not self.mirror.flow_run:
            return False
        state = self._client.get(f"/flow_runs/{self.mirror.flow_run}").get("state_type")
        return state in ("CANCELLING", "CANCELLED")

    def _begun(self) -> bool:
        """Take the first line, if it is there."""
        record, _ = next(self._tail.new(), ({}, 0))
        if record.get("is") == "run":
            self.mirror.begin(record)
            self.done = bool(record.get("flow_run"))  # it was a flow of its own
        return bool(self.mirror.first)

    def _read(self) -> None:
        """Take the lines that are new."""
        mirror = self.mirror
        for record, offset in self._tail.new():
            mirror.take(record)
            if offset <= self._mark.offset:  # it was told already
                mirror.events.clear()
                mirror.logs.clear()

    def _created(self) -> str:
        first = self.mirror.first
        flow = self._client.post("/flows/", {"name": FLOW})
        run = self._client.post(
            "/flow_runs/",
            {
                "flow_id": flow["id"],
                "name": str(first.get("name") or FLOW),
                "parameters": first.get("parameters", {}),
                "tags": first.get("tags", []),
                "idempotency_key": self.mirror.id,
                "state": {"type": "PENDING"},
            },
        )
        return str(run["id"])

    def _flush(self) -> None:
        mirror = self.mirror
        if not self._mark.offset:
            self._set_state("RUNNING", "Running", "")
        while mirror.events:
            self._post("/events", mirror.events[:BATCH])
            del mirror.events[:BATCH]
        while mirror.logs:
            batch = mirror.logs[:BATCH]
            if self._sure or not self._has(batch):
                self._post("/logs/", batch)
            del mirror.logs[: len(batch)]
        if self._mark.offset != self._tail.offset:
            self._note(self._tail.offset)

    def _has(self, batch: Sequence[dict[str, Any]]) -> bool:
        """Whether the server has these logs: it takes all of a request or none."""
        times = {"after_": batch[0]["timestamp"], "before_": batch[0]["timestamp"]}
        only = {"flow_run_id": {"any_": [self.mirror.flow_run]}, "timestamp": times}
        return bool(self._client.post("/logs/filter", {"logs": only, "limit": 1}))

    def _finish(self, crashed: bool) -> None:
        type_, name, message = self.mirror.over(crashed)
        self._flush()
        if self._artifacts is None:
            self._artifacts = self._left()
        while self._artifacts:
            one = self._artifacts[0]
            if self._sure or not self._has_artifact(one):
                data = {"key": one.key, "type": one.type, "data": one.data, "description": one.description}
                self._post("/artifacts/", data | {"flow_run_id": self.mirror.flow_run})
            del self._artifacts[0]
        self._set_state(type_, name, message)
        self.done = True
        self._note(self._tail.offset)

    def _has_artifact(self, one: Artifact) -> bool:
        only = {"flow_run_id": {"any_": [self.mirror.flow_run]}, "key": {"any_": [one.key]}}
        return bool(self._client.post("/artifacts/filter", {"artifacts": only, "limit": 1}))

    def _left(self) -> list[Artifact]:
        first = self.mirror.first
        cache = Path(str(first["cache"])) if first.get("cache") else None
        root = Path(str(first.get("root", ".")))
        return list(artifacts(map(_result, self.mirror.results()), self.mirror.metrics, root, cache))

    def _set_state(self, type_: str, name: str, message: str) -> None:
        place = f"/flow_runs/{self.mirror.flow_run}"
        if self._sure or self._client.get(place).get("state_type") != type_:
            state = {"type": type_, "name": name, "message": message}
            self._post(f"{place}/set_state", {"state": state, "force": True})

    def _post(self, path: str, data: object) -> Any:
        try:
            return self._client.post(path, data)
        except Unreachable:
            self._sure = False  # it may have taken it all the same
            raise

    def _note(self, offset: int | None = None) -> None:
        self._mark = Mark(self.mirror.flow_run, self._mark.offset if offset is None else offset, self.done)
        marks.write(self.path, self._server, self._mark)


def _result(record: Record) -> StageResult:
    outputs = record.get("outputs")
    return StageResult(
        str(record["stage"]),
        Outcome[str(record["outcome"])],
        str(record.get("why", "")),
        number(record.get("seconds")),
        {str(path): str(value) for path, value in outputs.items()} if isinstance(outputs, dict) else {},
        used=used(record),
        asked=asked(record),
    )
