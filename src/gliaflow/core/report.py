"""What became of a run: of each stage, and of the whole; and the events that a run tells as it goes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import NamedTuple

from gliaflow.core.graph import Graph
from gliaflow.core.options import OnError, Options
from gliaflow.errors import NotReproduced, told

MOST_NAMED = 5  # files in one line


class Outcome(Enum):
    """What became of a stage."""

    UNCHANGED = "unchanged"
    PULLED = "pulled"
    RESTORED = "restored from run-cache"
    SAVED = "verified"  # no command ran: data, an import, a frozen stage
    RUN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def reproduced(self) -> bool:
        """Whether DVC counts the stage among the reproduced."""
        return self in (Outcome.RESTORED, Outcome.SAVED, Outcome.RUN)


class Change(NamedTuple):
    """Something that makes a stage run."""

    what: str  # "parameter", "dependency", "output", or what the name tells by itself
    name: str
    old: object = None
    new: object = None


def some(names: Sequence[str]) -> str:
    """The first of the names, and how many more there are."""
    left = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {left} more" if left > 0 else "")


@dataclass(frozen=True)
class Undeclared:
    """Files that a stage opened and that its dvc.yaml does not name."""

    read: tuple[str, ...] = ()
    """What it read, and is none of its dependencies, files of parameters and outputs."""
    wrote: tuple[str, ...] = ()
    """What it wrote, and is none of its outputs."""

    @property
    def count(self) -> int:
        """How many files these are."""
        return len(self.read) + len(self.wrote)

    def sentences(self, address: str) -> list[str]:
        """What there is to tell of the stage."""
        told = []
        for did, names, of in (("read", self.read, "deps"), ("wrote", self.wrote, "outputs")):
            if names:
                told.append(f"{address} {did} {some(names)}, which {'are' if names[1:] else 'is'} none of its {of}")
        return told


@dataclass(frozen=True)
class StageResult:
    """What became of one stage."""

    address: str
    """DVC's name of the stage."""
    outcome: Outcome
    """How the stage ended."""
    why: str = ""
    """Why the stage ran, failed or was skipped, as a phrase."""
    seconds: float = 0.0
    """How long the last try took."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Path → hash of what the stage made or restored."""
    error: Exception | None = None
    """The error of a stage that failed."""
    tail: Sequence[str] = ()
    """The last lines of a stage that failed."""
    undeclared: Undeclared | None = None
    """What the stage opened and does not declare; None if nobody looked."""

    def __post_init__(self) -> None:
        if self.error and not self.why:
            object.__setattr__(self, "why", told(self.error))


@dataclass(frozen=True)
class Report:
    """What became of a run, its stages in DVC's order."""

    results: tuple[StageResult, ...] = ()
    """Every planned stage that ended."""
    on_error: OnError = "fail"
    """What the run did after a failure."""

    @property
    def reproduced(self) -> list[str]:
        """The stages that ran or were restored, as `dvc repro` returns them."""
        return [result.address for result in self.results if result.outcome.reproduced]

    @property
    def failed(self) -> list[StageResult]:
        """The stages that failed."""
        return [result for result in self.results if result.outcome is Outcome.FAILED]

    def raise_if_failed(self) -> None:
        """Raise if stages failed, unless `on_error` is "ignore".

        Raises:
            NotReproduced: stages failed; it names the first one, or all of them after "keep-going".
        """
        if self.failed and self.on_error != "ignore":
            shown = self.failed if self.on_error == "keep-going" else self.failed[:1]
            raise NotReproduced([result.address for result in shown], shown[0].error)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that a run tells."""

    when: float = field(default_factory=time.time)
    """Seconds since 1970."""


@dataclass(frozen=True)
class RunBegan(Event):
    """The stages of a run are known, and some have something to do."""

    graph: Graph
    targets: Sequence[str]
    """As the caller named them."""
    options: Options


@dataclass(frozen=True)
class Began(Event):
    """A command of a stage starts; `place` is 0 of the first one of a try."""

    address: str
    commands: Sequence[str]
    place: int = 0


@dataclass(frozen=True)
class Line(Event):
    """A line of a stage; or, not `whole`, what stands so far on a line that is not finished."""

    address: str
    text: str
    whole: bool = True
    styled: str = ""
    """The text with the colours that the stage gave it, if it did."""


@dataclass(frozen=True)
class Retry(Event):
    """A try of a stage failed, and another one follows."""

    address: str
    number: int
    """Which try it will be."""
    most: int
    """How many tries there are at most."""
    seconds: float
    """Until then, at least."""
    why: str
    """What the try failed with."""


@dataclass(frozen=True)
class StageEnded(Event):
    """Nothing more is to come of a stage."""

    result: StageResult


@dataclass(frozen=True)
class Message(Event):
    """A line of the engine itself."""

    text: str


@dataclass(frozen=True)
class Measured(Event):
    """The metrics of the workspace once the stages have ended."""

    rows: Sequence[Mapping[str, object]]
    """Each with its file, name, value and change since HEAD."""


@dataclass(frozen=True)
class Summary(Event):
    """The run has ended."""

    report: Report


@dataclass(frozen=True)
class RunStopped(Event):
    """The run ended before its stages did."""

    why: str
    cancelled: bool
    """Whether somebody wanted it to."""
