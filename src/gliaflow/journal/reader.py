"""Reads journals: line by line while the run still writes, or as what became of the whole run."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TypeVar

from gliaflow.core.report import Asked, Used
from gliaflow.journal.lock import held

CHUNK = 1 << 20  # bytes that are read at once
Record = dict[str, object]
Kind = TypeVar("Kind", Used, Asked)


class Tail:
    """The lines of a journal from the first on; whoever asks again gets what was written since."""

    def __init__(self, path: Path) -> None:
        self.path, self.offset = path, 0

    def new(self) -> Iterator[tuple[Record, int]]:
        """Each complete line that was not read yet, with the place in bytes after it.

        A line that is no JSON object, such as the half of one that a killed run left, is passed over.
        """
        rest = b""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            while chunk := file.read(CHUNK):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self.offset += len(line) + 1
                    record = _parsed(line)
                    if record is not None:
                        yield record, self.offset


@dataclass
class StageRun:
    """What a journal tells of one stage."""

    address: str
    began: float | None = None
    """When its commands started, in seconds since 1970."""
    ended: float | None = None
    outcome: str = ""
    """The name of an `Outcome`; nothing as long as the stage has not ended."""
    why: str = ""
    seconds: float = 0.0
    used: Used | None = None
    asked: Asked | None = None


@dataclass
class RunSeen:
    """What a journal tells of a run."""

    path: Path
    first: Record = field(default_factory=dict)
    """Its first line."""
    stages: dict[str, StageRun] = field(default_factory=dict)
    end: Record | None = None
    """How it ended; None if it has not, or was killed."""
    lives: bool = False

    last: float = 0.0
    """When the last thing happened that is known, in seconds since 1970."""

    @property
    def began(self) -> float:
        """When the run began, in seconds since 1970."""
        return number(self.first.get("when"))

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return max(self.last - self.began, 0.0)

    @property
    def state(self) -> str:
        """`running`, `completed`, `failed`, `cancelled` or `crashed`."""
        if self.end is None:
            return "running" if self.lives else "crashed"
        if self.end.get("is") == "stopped":
            return "cancelled" if self.end.get("cancelled") else "failed"
        return "failed" if self.end.get("failed") else "completed"


def seen(path: Path) -> RunSeen:
    """What became of a run; its lines are passed over.

    Raises:
        FileNotFoundError: there is no such journal.
    """
    found = RunSeen(path, lives=held(path))
    for record, _ in Tail(path).new():
        kind, name = record.get("is"), str(record.get("stage", ""))
        found.last = max(found.last, number(record.get("when")))
        if kind == "run":
            found.first = record
        elif kind in ("summary", "stopped"):
            found.end = record
        elif kind == "began":
            found.stages.setdefault(name, StageRun(name)).began = number(record.get("when"))
        elif kind == "ended":
            one = found.stages.setdefault(name, StageRun(name))
            one.ended, one.seconds = number(record.get("when")), number(record.get("seconds"))
            one.outcome, one.why = str(record.get("outcome", "")), str(record.get("why", ""))
            one.used, one.asked = used(record), asked(record)
    return found


def names(path: Path) -> list[str]:
    """The stages of a run, in DVC's order."""
    first, _ = next(Tail(path).new(), ({}, 0))
    stages = first.get("stages")
    return [str(one["name"]) for one in stages] if isinstance(stages, list) else []


def lines(path: Path, stages: set[str] | None = None) -> Iterator[tuple[str, str]]:
    """Each line of each stage, or of these `stages` alone, in the order in which they came."""
    for record, _ in Tail(path).new():
        name = str(record.get("stage", ""))
        if record.get("is") == "line" and (stages is None or name in stages):
            yield name, str(record.get("text", ""))


def used(record: Record) -> Used | None:
    """What the last try of an ended stage used, if the journal tells."""
    return _filled(Used, record.get("used"))


def asked(record: Record) -> Asked | None:
    """What the last try of an ended stage asked for, if the journal tells."""
    return _filled(Asked, record.get("asked"))


def _filled(kind: type[Kind], values: object) -> Kind | None:
    """The values under the names that the class knows; None if one of those is missing that it needs."""
    if not isinstance(values, dict):
        return None
    with suppress(TypeError):
        return kind(**{one.name: values[one.name] for one in fields(kind) if one.name in values})
    return None


def number(value: object) -> float:
    """The value of a number in a record; 0 of all else."""
    return float(value) if isinstance(value, int | float) else 0.0


def _parsed(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
