"""The listener that keeps a run as a journal: lines of JSON, appended as the run goes.

Each line is an object whose key `is` says what it tells. A reader passes over lines and keys that it does not know, so
that an older one can read what a newer one wrote. The first line is the run itself.
"""

import json
import os
import socket
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from time import localtime, strftime

from gliaflow.core.graph import Graph
from gliaflow.core.report import (
    Began,
    Event,
    Line,
    Measured,
    Message,
    Outcome,
    Retry,
    RunBegan,
    RunStopped,
    StageEnded,
    Summary,
)
from gliaflow.errors import CommandFailed
from gliaflow.journal import seconds
from gliaflow.journal.folder import SUFFIX, prune, remember
from gliaflow.journal.lock import take
from gliaflow.journal.names import parameters, place
from gliaflow.journal.versions import code, environment, locks

VERSION = 1
MOST_BYTES = 256 << 20  # of one journal; beyond, lines of stages are counted and not kept


class Journal:
    """Keeps one run in a new file in `where`; `facts` are put into the first line, and `tags` beside the usual ones.

    The repository is noted below `home`. A journal that cannot be written is given up, and `wrong` says why.
    """

    def __init__(self, where: Path, home: Path, facts: Mapping[str, object], tags: Sequence[str] = ()) -> None:
        self.id = str(uuid.uuid4())
        self.path = where / f"{strftime('%Y%m%d-%H%M%S', localtime())}-{self.id[:6]}{SUFFIX}"
        self.wrong = ""
        self._home, self._facts, self._tags = home, facts, tags
        self._early: list[Event] = []  # what was told before the run began
        self._file: FileIO | None = None
        self._size = self._dropped = 0
        self._unwritten: list[bytes] = []
        self._seconds: dict[str, float] = {}
        self._graph = Graph(())

    def hear(self, event: Event) -> None:
        """Keep an event."""
        self.hear_all([event])

    def hear_all(self, events: Sequence[Event]) -> None:
        """Keep events, which are written at once."""
        try:
            for event in events:
                self._take(event)
            self._flush()
        except OSError as error:
            self.wrong = f"{error.strerror or error}"
            self.close()

    def close(self) -> None:
        """Nothing more is to come; the lock ends."""
        file, self._file = self._file, None
        if file:
            with suppress(OSError):
                file.close()

    def _take(self, event: Event) -> None:
        if isinstance(event, RunBegan):
            self._open(event)
            for one in self._early:
                self._keep(one)
        elif self._file:
            self._keep(event)
        elif not self.wrong:
            self._early.append(event)

    def _open(self, event: RunBegan) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        self._file = partial.open("xb", buffering=0)  # what is written outlives this process
        take(self._file.fileno())
        here = place(Path())
        stages = [{"name": one.address, "upstreams": one.upstreams} for one in event.graph.stages]
        first = {
            "is": "run",
            "version": VERSION,
            "id": self.id,
            "when": event.when,
            "name": here.name,
            "root": str(Path.cwd()),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "parameters": parameters(list(event.targets), event.options),
            "stages": stages,
            **self._facts,
            "tags": [*here.tags, *self._tags],
        }
        self._write(_line(first))
        self._flush()
        partial.replace(self.path)  # with its lock: nobody takes it for that of a run which has ended
        self._graph = event.graph
        self._write(_line({"is": "versions", "when": event.when, "code": code(Path()), **environment()}))
        with suppress(OSError):  # without it the journal is there, but another command does not find it
            remember(self.path.parent, self._home)
            prune(self.path.parent)

    def _keep(self, event: Event) -> None:
        if isinstance(event, Line):
            if event.whole:
                self._keep_line(event)
        elif made := MADE.get(type(event)):
            found = {"locks": locks(self._graph)} if isinstance(event, Summary | RunStopped) else {}
            self._write(_line({"when": round(event.when, 6), **made(event), **found}))
            if isinstance(event, StageEnded) and event.result.outcome is Outcome.RUN:
                self._seconds[event.result.address] = event.result.seconds
            if isinstance(event, Summary | RunStopped):
                if self._dropped:
                    self._write(_line({"is": "dropped", "lines": self._dropped}))
                seconds.merge(self.path.parent, self._seconds)

    def _keep_line(self, event: Line) -> None:
        text = json.dumps({"is": "line", "when": round(event.when, 6), "stage": event.address, "text": event.text})
        if self._size + len(text) > MOST_BYTES:
            self._dropped += 1
        else:
            self._write(text.encode() + b"\n")

    def _write(self, line: bytes) -> None:
        self._unwritten.append(line)
        self._size += len(line)

    def _flush(self) -> None:
        lines, self._unwritten = self._unwritten, []
        if self._file and lines:
            self._file.write(b"".join(lines))


def _line(record: Mapping[str, object]) -> bytes:
    return json.dumps(record, default=str).encode() + b"\n"


def _began(event: Began) -> dict[str, object]:
    return {"is": "began", "stage": event.address, "commands": list(event.commands)}


def _retry(event: Retry) -> dict[str, object]:
    return {
        "is": "retry",
        "stage": event.address,
        "number": event.number,
        "most": event.most,
        "seconds": event.seconds,
        "why": event.why,
    }


def _ended(event: StageEnded) -> dict[str, object]:
    result = event.result
    return {
        "is": "ended",
        "stage": result.address,
        "outcome": result.outcome.name,
        "why": result.why,
        "seconds": round(result.seconds, 6),
        "outputs": dict(result.outputs),
        "tail": list(result.tail),
        "interrupted": isinstance(result.error, InterruptedError),
        "ending": result.error.ending if type(result.error) is CommandFailed else "",
        **({"used": asdict(result.used)} if result.used else {}),
        **({"asked": asdict(result.asked)} if result.asked else {}),
        **({"slots": result.slots} if result.slots else {}),
        **({"recorded": asdict(event.recorded)} if event.recorded else {}),
    }


def _message(event: Message) -> dict[str, object]:
    return {"is": "message", "text": event.text}


def _measured(event: Measured) -> dict[str, object]:
    rows, values = ([dict(one) for one in some] for some in (event.rows, event.values))
    return {"is": "metrics", "rows": rows, "values": values}


def _summary(event: Summary) -> dict[str, object]:
    report = event.report
    return {
        "is": "summary",
        "failed": [one.address for one in report.failed],
        "reproduced": len(report.reproduced),
        "stages": len(report.results),
    }


def _stopped(event: RunStopped) -> dict[str, object]:
    return {"is": "stopped", "why": event.why, "cancelled": event.cancelled}


MADE: dict[type[Event], Callable[..., dict[str, object]]] = {
    Began: _began,
    Retry: _retry,
    StageEnded: _ended,
    Message: _message,
    Measured: _measured,
    Summary: _summary,
    RunStopped: _stopped,
}
