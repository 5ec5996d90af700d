"""What Prefect is told of a run, made from the lines of its journal: events of task runs, logs, states, artifacts.

Prefect's clients tell of a task run by events, and its server makes the task run of them; so does this, with the times
of the journal and with ids that follow from the run, so that what is told twice is there once.
"""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gliaflow.core.report import Outcome
from gliaflow.journal.reader import Record, number

TASK_KEY = "gliaflow.stage"
MOST_LINES = 2000  # of a stage that Prefect is told, and below them where the others are
LAST_LINES = 20
STAGE_LOGGER, RUN_LOGGER = "prefect.task_runs.lines", "prefect.flow_runs"
INFO = 20
TICK = 1e-6  # seconds between two logs that would have the same time, by which Prefect sorts


@dataclass
class Task:
    """A stage as a task run."""

    address: str
    id: str
    upstreams: list[str]
    began: float | None = None
    tries: int = 0
    lines: int = 0
    last: list[str] = field(default_factory=list)
    """The last lines, once there are more than are told."""
    record: Record | None = None
    """How it ended."""


class Mirror:
    """What is known of one run so far, and what of it is still to be told."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.first: Record = {}
        self.end: Record | None = None
        self.metrics: list[dict[str, Any]] = []
        self.tasks: dict[str, Task] = {}
        self.events: list[dict[str, Any]] = []
        self.logs: list[dict[str, Any]] = []
        self.flow_run = ""
        """Its id on the server; events and logs are made once it is known."""
        self._place, self._now = 0, 0.0
        self._last_when = 0.0

    @property
    def id(self) -> str:
        """The run's own id."""
        return str(self.first.get("id", ""))

    @property
    def began(self) -> float:
        """When it began, in seconds since 1970."""
        return number(self.first.get("when"))

    @property
    def last(self) -> float:
        """When the last thing happened that is known."""
        return self._last_when

    def begin(self, record: Record) -> None:
        """Take the first line."""
        self.first = record
        self._last_when = number(record.get("when"))
        stages = record.get("stages")
        for one in stages if isinstance(stages, list) else ():
            name = str(one["name"])
            self.tasks[name] = Task(name, self._uuid(f"task {name}"), [str(up) for up in one.get("upstreams", ())])

    def take(self, record: Record) -> None:
        """Take a line, and make what Prefect is to be told of it."""
        self._place += 1
        kind, when = record.get("is"), number(record.get("when"))
        self._last_when = max(self._last_when, when)
        task = self.tasks.get(str(record.get("stage", "")))
        if kind == "message":
            self._log(str(record.get("text", "")), when, None)
        elif kind == "metrics":
            rows = record.get("rows")
            self.metrics = rows if isinstance(rows, list) else []
        elif kind in ("summary", "stopped"):
            self.end = record
        elif task and kind == "line":
            self._line(task, str(record.get("text", "")), when)
        elif task and kind == "began":
            task.tries += 1
            task.began = task.began or when
            again = task.tries > 1
            self._event(task, "RUNNING", "Retrying" if again else "Running", when)
        elif task and kind == "retry":
            self._event(task, "SCHEDULED", "AwaitingRetry", when, str(record.get("why", "")), number(record["seconds"]))
        elif task and kind == "ended":
            self._ended(task, record, when)

    def over(self, crashed: bool) -> tuple[str, str, str]:
        """Nothing more is to come: type, name and message of the run's last state; stages that ran get theirs."""
        if crashed:
            why = "its process was killed, or its machine went down"
            type_, name, message = "CRASHED", "Crashed", why
        elif self.end and self.end.get("is") == "stopped":
            cancelled = bool(self.end.get("cancelled"))
            type_, name = ("CANCELLED", "Cancelled") if cancelled else ("FAILED", "Failed")
            message = str(self.end.get("why", ""))
        else:
            assert self.end
            failed = self.end.get("failed")
            if isinstance(failed, list) and failed:
                return "FAILED", "Failed", f"failed: {', '.join(map(str, failed))}"
            counts = f"{self.end.get('reproduced')} of {self.end.get('stages')} stages reproduced"
            return "COMPLETED", "Completed", counts
        for task in self.tasks.values():
            if task.began and not task.record:
                self._event(task, type_, name, self.last + TICK, message)  # later than what is known of the task
        return type_, name, message

    def results(self) -> Iterator[Record]:
        """How each stage ended, in DVC's order."""
        for task in self.tasks.values():
            if task.record:
                yield task.record

    def _ended(self, task: Task, record: Record, when: float) -> None:
        if hidden := max(task.lines - MOST_LINES, 0):
            shown = min(len(task.last), LAST_LINES)
            if hidden > shown:
                self._log(f"… {hidden - shown} more lines are in {self._path}", when, task)
            for text in task.last[-shown:]:
                self._log(text, when, task)
        task.record = record
        outcome, why = Outcome[str(record.get("outcome"))], str(record.get("why", ""))
        tail = record.get("tail")
        if record.get("interrupted"):  # by the end of the whole run
            self._event(task, "CANCELLED", "Cancelled", when, why)
        elif outcome is Outcome.FAILED:
            lines = [str(line) for line in tail] if isinstance(tail, list) else []
            ending = str(record.get("ending") or why) if lines else why  # the cause is one of the lines
            text = "\n".join([ending, *lines])
            self._event(task, "FAILED", "Failed", when, text)
        elif outcome is Outcome.SKIPPED:
            self._event(task, "CANCELLED", "Skipped", when, why)
        elif outcome is Outcome.RUN:
            self._event(task, "COMPLETED", "Completed", when, why)
        else:
            if why:
                self._log(why, when, task)
            self._event(task, "COMPLETED", "Cached", when, outcome.value)

    def _line(self, task: Task, text: str, when: float) -> None:
        task.lines += 1
        if task.lines <= MOST_LINES:
            self._log(text, when, task)
        else:
            task.last = [*task.last[-LAST_LINES + 1 :], text]

    def _log(self, text: str, when: float, task: Task | None) -> None:
        self._now = max(when, self._now + TICK)
        log = {"level": INFO, "message": text.replace("\0", "\ufffd"), "timestamp": _iso(self._now)}
        log |= {"name": STAGE_LOGGER if task else RUN_LOGGER, "flow_run_id": self.flow_run}
        self.logs.append(log | ({"task_run_id": task.id} if task else {}))

    def _event(self, task: Task, type_: str, name: str, when: float, message: str = "", wait: float = 0.0) -> None:
        """Tell that a task run came into a state."""
        final = type_ not in ("RUNNING", "SCHEDULED")
        began = task.began or when
        inputs = [{"input_type": "task_run", "id": self.tasks[up].id} for up in task.upstreams if up in self.tasks]
        run: dict[str, Any] = {
            "name": task.address,
            "task_key": TASK_KEY,
            "dynamic_key": task.address,
            "tags": self.first.get("tags", []),
            "task_inputs": {"work": inputs},
            "run_count": max(task.tries, 1),
            "flow_run_run_count": 1,
            "start_time": _iso(began),
            "expected_start_time": _iso(began),
        }
        if final:
            run |= {"end_time": _iso(when), "total_run_time": max(when - began, 0.0)}
        details = {"scheduled_time": _iso(when + wait)} if type_ == "SCHEDULED" else {}
        self.events.append(
            {
                "id": self._uuid(f"event {self._place} {task.address} {name}"),
                "occurred": _iso(when),
                "event": f"prefect.task-run.{name}",
                "resource": {
                    "prefect.resource.id": f"prefect.task-run.{task.id}",
                    "prefect.resource.name": task.address,
                    "prefect.run-count": str(run["run_count"]),
                    "prefect.state-message": message,
                    "prefect.state-name": name,
                    "prefect.state-timestamp": _iso(when),
                    "prefect.state-type": type_,
                    "prefect.orchestration": "client",
                },
                "related": [
                    {"prefect.resource.id": f"prefect.flow-run.{self.flow_run}", "prefect.resource.role": "flow-run"}
                ],
                "payload": {
                    "intended": {"from": None, "to": type_},
                    "initial_state": None,
                    "validated_state": {"type": type_, "name": name, "message": message, "state_details": details},
                    "task_run": run,
                },
            }
        )

    def _uuid(self, what: str) -> str:
        return str(uuid.uuid5(uuid.UUID(self.id), what))


def _iso(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat()
