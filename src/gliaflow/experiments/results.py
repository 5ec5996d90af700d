"""What becomes of experiments: of each one, and of a sweep as a whole."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

MOST_METRICS = 4  # that are shown where nobody has chosen


class Fate(Enum):
    """What became of an experiment."""

    DONE = "done"
    KNOWN = "known"  # an earlier sweep has made it
    FAILED = "failed"


@dataclass(frozen=True)
class Experiment:
    """One set of parameters, and what came of it."""

    name: str
    """As `dvc exp show` lists it."""
    params: Mapping[str, str]
    """What it changes, by name, in DVC's grammar of overrides."""
    fate: Fate
    rev: str = ""
    """The commit of the experiment; nothing if it failed."""
    metrics: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """By file, then by name, nested names joined by dots."""
    stages: Mapping[str, str] = field(default_factory=dict)
    """Stage → what became of it, as `ran` or `restored from run-cache`."""
    seconds: float = 0.0
    error: str = ""
    """Why it failed, as a phrase."""
    tail: Sequence[str] = ()
    """The last lines of the stage that failed."""
    user: bool = False
    """Whether the user must change something before it can succeed."""

    def plain(self) -> dict[str, Any]:
        """For a program."""
        return {**asdict(self), "fate": self.fate.value, "seconds": round(self.seconds, 3)}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Experiment":
        """What `plain` gave, read again."""
        return cls(**{**plain, "fate": Fate(plain["fate"])})

    def value(self, metric: str) -> Any:
        """The value of a metric, `name` or `file:name`; None if there is none.

        A name may leave out what stands in front of it, at a dot: `accuracy` is `test.accuracy` too.
        """
        found = list(named(self.metrics))
        whole = [value for file, name, value in found if metric in (name, f"{file}:{name}")]
        return next(iter([*whole, *(value for _, name, value in found if name.endswith(f".{metric}"))]), None)

    def score(self, metric: str) -> float | None:
        """The value of a metric as a number; None if it is none, or not there."""
        value = self.value(metric)
        return float(value) if isinstance(value, int | float) and value == value else None


def rank(score: float | None, minimize: bool) -> float:
    """What scores are sorted by: the smaller, the better; those that are None come last."""
    return math.inf if score is None else score if minimize else -score


def named(metrics: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str, Any]]:
    """Each metric: its file, its name, its value."""
    for file, values in metrics.items():
        for name, value in values.items():
            yield file, name, value


def telling(found: Iterable[Experiment], most: int = MOST_METRICS) -> list[str]:
    """The metrics to show where nobody has chosen: numbers, those that differ first, as they come in their files."""
    values: dict[str, list[Any]] = {}
    for one in found:
        for file, name, value in named(one.metrics):
            if isinstance(value, int | float) and not isinstance(value, bool):
                values.setdefault(f"{file}:{name}", []).append(value)
    return sorted(values, key=lambda name: len(set(values[name])) == 1)[:most]


@dataclass(frozen=True)
class SweepReport:
    """What became of a sweep, its experiments in the order of their sets."""

    experiments: Sequence[Experiment] = ()

    @property
    def failed(self) -> list[Experiment]:
        """The experiments that failed."""
        return [one for one in self.experiments if one.fate is Fate.FAILED]

    def best(self, metric: str, minimize: bool = False) -> Experiment | None:
        """The first experiment with the best value of a metric; None if no experiment has a value."""
        scored = [one for one in self.experiments if one.score(metric) is not None]
        return min(scored, key=lambda one: rank(one.score(metric), minimize), default=None)


@dataclass(frozen=True)
class Progress:
    """What an experiment does now."""

    name: str
    params: Mapping[str, str]
    text: str
    """As `train`, a stage that runs; nothing where it begins."""


Hear = Callable[[Progress | Experiment], None]
"""Told what an experiment does, and what became of it."""
