"""What a journal tells of a run, as values for its page."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gliaflow.core.report import Asked, Output, Recorded, Used
from gliaflow.journal.reader import Record, RunSeen, Tail, asked, number, seen, used

LAST_LINES = 20  # of a stage, kept for one that did not end well
MOST_MESSAGES = 200
ENDED_WELL = ("RUN", "RESTORED", "SAVED", "PULLED", "UNCHANGED")


@dataclass
class StageFacts:
    """What a journal tells of one stage."""

    address: str
    upstreams: tuple[str, ...] = ()
    began: float | None = None
    """When the first command of the first try started, in seconds since 1970."""
    ended: float | None = None
    outcome: str = ""
    """The name of an `Outcome`; nothing as long as the stage has not ended."""
    why: str = ""
    seconds: float = 0.0
    """How long the last try took since its commands began, or what there was to do without a command."""
    commands: list[str] = field(default_factory=list)
    """Those of the last try."""
    retries: list[str] = field(default_factory=list)
    """What each try failed with that was not the last."""
    used: Used | None = None
    asked: Asked | None = None
    slots: tuple[str, ...] = ()
    recorded: Recorded = field(default_factory=Recorded)
    last: deque[str] = field(default_factory=lambda: deque(maxlen=LAST_LINES))
    """The last lines."""
    lines: int = 0

    @property
    def start(self) -> float | None:
        """When the stage began; of one without a command, when the run turned to it."""
        if self.began is None and self.ended is not None:
            return self.ended - self.seconds
        return self.began

    @property
    def well(self) -> bool:
        """Whether it ended, and not badly."""
        return self.outcome in ENDED_WELL


@dataclass(frozen=True)
class MetricFacts:
    """A metric at the end of a run."""

    file: str
    name: str
    value: object
    before: object = None
    """At the commit that the run started from."""
    known: bool = False
    """Whether that commit has the metric."""
    change: str | None = None
    """As a phrase, in journals that tell no more."""


@dataclass
class RunFacts:
    """What a journal tells of a run."""

    seen: RunSeen
    stages: dict[str, StageFacts] = field(default_factory=dict)
    """In DVC's order."""
    metrics: list[MetricFacts] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """What the engine told, the first ones."""
    versions: Record = field(default_factory=dict)
    dropped: int = 0
    """Lines of stages that the journal does not hold."""

    @property
    def name(self) -> str:
        """As `gliaflow logs --list` calls the run."""
        return self.seen.path.stem

    @property
    def first(self) -> Record:
        """The first line."""
        return self.seen.first

    @property
    def commit(self) -> str:
        """The commit that the run started from; nothing if it is not known."""
        return str(self.first.get("commit") or "")

    @property
    def root(self) -> Path:
        """The folder in which the run was called."""
        return Path(str(self.first.get("root") or "."))

    @property
    def cache(self) -> Path | None:
        """The folder of DVC's cache, if it is known."""
        return Path(str(self.first["cache"])) if self.first.get("cache") else None

    @property
    def locks(self) -> dict[str, str]:
        """The MD5 of each dvc.lock at the end."""
        return _texts((self.seen.end or {}).get("locks"))

    @property
    def changed(self) -> list[str] | None:
        """What was not as committed when the run began, but for what stages make; None if it is not known."""
        code = self.versions.get("code")
        if not isinstance(code, dict) or "changed" not in code:
            return None
        made = {out.path for stage in self.stages.values() for out in stage.recorded.outputs}
        return [one for one in _names(code["changed"]) if not _is_made(one, made)]

    @property
    def more_changed(self) -> int:
        """How many paths more."""
        code = self.versions.get("code")
        return int(number(code.get("more"))) if isinstance(code, dict) else 0

    def unfinished(self) -> list[StageFacts]:
        """The stages that began and did not end, or failed."""
        return [one for one in self.stages.values() if one.outcome == "FAILED" or (one.began and not one.outcome)]

    def seconds_of(self, one: StageFacts) -> float:
        """How long a stage took from its first command to its end, waits between tries too; so far, if it runs."""
        return 0.0 if one.start is None else max(self.end_of(one) - one.start, 0.0)

    def end_of(self, one: StageFacts) -> float:
        """When a stage ended; the last moment that is known, if it did not."""
        return one.ended if one.ended is not None else self.seen.last


def facts(path: Path) -> RunFacts:
    """What the journal at `path` tells.

    Raises:
        FileNotFoundError: there is no such journal.
    """
    found = RunFacts(seen(path))
    for one in _objects(found.first.get("stages")):
        name = str(one.get("name"))
        found.stages[name] = StageFacts(name, tuple(_names(one.get("upstreams"))))
    for record, _ in Tail(path).new():
        _take(found, record)
    return found


def _take(found: RunFacts, record: Record) -> None:
    kind = record.get("is")
    if kind == "versions":
        found.versions = record
    elif kind == "message" and len(found.messages) < MOST_MESSAGES:
        found.messages.append(str(record.get("text", "")))
    elif kind == "metrics":
        found.metrics = list(_metrics(record))
    elif kind == "dropped":
        found.dropped = int(number(record.get("lines")))
    elif "stage" in record:
        name = str(record["stage"])
        _take_of_stage(found.stages.setdefault(name, StageFacts(name)), record)


def _take_of_stage(one: StageFacts, record: Record) -> None:
    kind = record.get("is")
    if kind == "line":
        one.last.append(str(record.get("text", "")))
        one.lines += 1
    elif kind == "began":
        one.began = one.began or number(record.get("when"))
        one.commands += _names(record.get("commands"))
    elif kind == "retry":
        one.retries.append(str(record.get("why", "")))
        one.commands.clear()
    elif kind == "ended":
        one.ended, one.seconds = number(record.get("when")), number(record.get("seconds"))
        one.outcome, one.why = str(record.get("outcome", "")), str(record.get("why", ""))
        one.used, one.asked = used(record), asked(record)
        one.slots = tuple(_names(record.get("slots")))
        one.recorded = _recorded(record)


def _recorded(record: Record) -> Recorded:
    """What DVC knows of the stage; of an older journal, what it made."""
    told = record.get("recorded")
    if not isinstance(told, dict):
        return Recorded(outputs=[Output(path, hash) for path, hash in _texts(record.get("outputs")).items()])
    outputs = [
        Output(
            str(one.get("path")),
            str(one.get("hash")),
            str(one.get("kind", "output")),
            _whole(one.get("size")),
            _whole(one.get("files")),
            drawn if isinstance(drawn := one.get("drawn"), dict) else {},
        )
        for one in _objects(told.get("outputs"))
    ]
    parameters = told.get("parameters")
    return Recorded(_texts(told.get("reads")), parameters if isinstance(parameters, dict) else {}, outputs)


def _metrics(record: Record) -> Iterator[MetricFacts]:
    for one in _objects(record.get("values")):
        file, name = str(one.get("file")), str(one.get("metric"))
        yield MetricFacts(file, name, one.get("value"), one.get("before"), "before" in one)
    if not record.get("values"):
        for one in _objects(record.get("rows")):
            file, name, change = (str(one.get(key)) for key in ("file", "metric", "since HEAD"))
            yield MetricFacts(file, name, one.get("value"), change=change)


def _is_made(path: str, made: set[str]) -> bool:
    """Whether a run writes the path by itself."""
    name = path.rstrip("/").rpartition("/")[2]
    return name in ("dvc.lock", ".gitignore") or any(
        path.rstrip("/") == one or path.startswith(f"{one}/") for one in made
    )


def _objects(value: object) -> list[Record]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _names(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []


def _texts(value: object) -> dict[str, str]:
    return {str(key): str(one) for key, one in value.items()} if isinstance(value, dict) else {}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None
