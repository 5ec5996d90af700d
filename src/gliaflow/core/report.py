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
class Asked:
    """What one try of a stage asked for."""

    cpus: int = 1
    gpus: int = 0
    mem_bytes: int | None = None


@dataclass(frozen=True)
class Used:
    """What one try of a stage used, all of its processes together; None where the system does not tell."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of memory, the most at one moment."""
    read_bytes: int | None = None
    """By system calls, from whatever can be read."""
    written_bytes: int | None = None
    gpu_bytes: int | None = None
    """Of the memory of GPUs, the most at one moment."""


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
    used: Used | None = field(default=None, compare=False)
    """What the last try used, where that was measured."""
    asked: Asked | None = field(default=None, compare=False)
    """What the last try asked for, if there was one."""
    slots: tuple[str, ...] = field(default=(), compare=False)
    """The names of the slots that the last try held, such as `cpu-0`."""
    undeclared: Undeclared | None = None
    """What the stage opened and does not declare; None if nobody looked."""

    def __post_init__(self) -> None:
        if self.error and not self.why:
            object.__setattr__(self, "why", told(self.error))


@dataclass(frozen=True)
class Output:
    """An output of a stage, as DVC knows it."""

    path: str
    hash: str
    kind: str = "output"
    """`output`, `metric` or `plot`."""
    size: int | None = None
    """In bytes."""
    files: int | None = None
    """How many there are in it, if it is a folder."""
    drawn: Mapping[str, object] = field(default_factory=dict)
    """How dvc.yaml says that a plot is drawn: `x`, `y`, `title` …"""


@dataclass(frozen=True)
class Recorded:
    """What DVC knows of a stage that has ended."""

    reads: Mapping[str, str] = field(default_factory=dict)
    """Path → hash of what the stage reads."""
    parameters: Mapping[str, object] = field(default_factory=dict)
    """Name → value; a name in another file than params.yaml has the file before it, with a colon."""
    outputs: Sequence[Output] = ()
    """What the stage has made; nothing of one that failed."""


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
    recorded: Recorded | None = field(default=None, compare=False)
    """What DVC knows of the stage; nothing of one that never came to run."""


@dataclass(frozen=True)
class Message(Event):
    """A line of the engine itself."""

    text: str


@dataclass(frozen=True)
class Measured(Event):
    """The metrics of the workspace once the stages have ended."""

    rows: Sequence[Mapping[str, object]]
    """Each with its file, name, value and change since the commit that the run started from."""
    values: Sequence[Mapping[str, object]] = ()
    """The same with all digits: file, metric, value, and `before`, where that commit has the metric."""


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
