"""Generations of individuals: trained up to a rung, the better part of them up to the next, the best to the end.

What was trained is in a book. So a search that was ended is played again from its beginning, and nothing is trained
twice.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.options import Options
from gliaflow.core.ports import Listener
from gliaflow.core.report import Began, Event, Line, Outcome, Report, RunBegan, StageEnded, StageResult, Summary
from gliaflow.errors import BadInput, CommandFailed, UserError
from gliaflow.experiments.results import Experiment, Fate, Hear, Progress, rank
from gliaflow.experiments.search.evolution import Evolution, EvolutionOptions
from gliaflow.experiments.search.individuals import Book, Individual, Trained
from gliaflow.experiments.search.space import Choices, Range, Value, current
from gliaflow.experiments.search.subject import PARAMS, Subject
from gliaflow.experiments.search.workers import Memory, Task, Workers, count

Keep = Callable[[Sequence[str], Callable[[], None]], AbstractContextManager[Listener]]
"""Opens the journal of a generation: with tags, and with what to call if somebody cancels it."""


@dataclass(frozen=True)
class Halving:
    """Which individuals of a generation are trained on."""

    rungs: tuple[int, ...] = ()
    """Epochs after which the poorer ones are given up; none: all are trained to the end."""
    kept: float = 1 / 3
    """The part of those that reach a rung which goes on."""

    def check(self) -> None:
        """Look whether the numbers make sense.

        Raises:
            BadInput: they do not.
        """
        if any(one < 1 for one in self.rungs) or list(self.rungs) != sorted(set(self.rungs)):
            raise BadInput(f"--rung {' --rung '.join(map(str, self.rungs))}: rungs are epochs, each more than the last")
        if not 0 < self.kept < 1:
            raise BadInput(f"--kept is {self.kept}; it is a part, between 0 and 1")


@dataclass(frozen=True)
class Goal:
    """What makes one individual better than another."""

    metric: str
    minimize: bool = False

    def rank(self, score: float | None) -> float:
        """The smaller, the better."""
        return rank(score, self.minimize)


@dataclass(frozen=True)
class Sought:
    """What is asked of a search."""

    address: str
    """The stage."""
    space: tuple[Range | Choices, ...]
    goal: Goal
    way: EvolutionOptions
    halving: Halving
    jobs: int
    """How many CPU slots workers may hold at once."""


@dataclass(frozen=True)
class SearchReport:
    """What came of a search."""

    individuals: tuple[Individual, ...]
    """Generation by generation, in the order in which they were asked for."""
    goal: Goal
    trained: int
    """Individuals that were trained now, and not known before."""
    epochs: int
    """Epochs that were trained now."""
    memory: tuple[Memory, ...]
    """What workers held after each individual."""
    replaced: int
    """Workers that leaked or died."""
    study: Any = field(repr=False, default=None)
    """As Optuna has it."""
    params: str = PARAMS
    """The file of the parameters, from the working directory of the search."""

    @property
    def best(self) -> Individual | None:
        """The first individual with the best score; None if all failed."""
        scored = [one for one in self.individuals if one.score is not None]
        return min(scored, key=lambda one: self.goal.rank(one.score), default=None)

    def plain(self) -> dict[str, Any]:
        """For a program."""
        counts = {"trained": self.trained, "epochs": self.epochs, "replaced": self.replaced}
        memory = [asdict(one) for one in self.memory]
        best = {"best": self.best.plain()} if self.best else {}
        return {**best, "individuals": [one.plain() for one in self.individuals], **counts, "memory": memory}

    def experiments(self) -> list[Experiment]:
        """The individuals as experiments are shown, each once."""
        ones = {one.key: one for one in self.individuals}.values()
        return [
            Experiment(
                one.name,
                {name: shown(value) for name, value in one.values.items()},
                Fate.FAILED if one.score is None else Fate.DONE,
                "",
                {} if one.score is None else {"": {self.goal.metric: one.score, "epochs": one.epochs}},
                {},
                one.seconds,
                one.error,
            )
            for one in ones
        ]


class Generations:
    """The generations of one search."""

    def __init__(
        self,
        wanted: Sought,
        subject: Subject,
        book: Book,
        keep: Keep,
        hear: Hear,
        say: Callable[[str], None],
    ) -> None:
        self._wanted, self._subject, self._book = wanted, subject, book
        self._keep, self._hear = keep, hear
        self._goal, self._halving = wanted.goal, wanted.halving
        self._values: dict[str, Mapping[str, Value]] = {}  # of the generation, by key
        self._trained: set[str] = set()
        self._epochs = 0
        self._generation = 0
        self._listener: Listener | None = None
        number = count(wanted.jobs, subject.door.settings)
        self._workers = Workers(subject.door, number, wanted.jobs, say, self._on_epoch)

    def evolved(self) -> SearchReport:
        """All generations, one after another."""
        wanted = self._wanted
        evolution = Evolution(
            wanted.space, wanted.way, self._goal.minimize, current(self._subject.document, wanted.space)
        )
        individuals: list[Individual] = []
        with self._workers:
            for number in range(wanted.way.generations):
                self._generation = number
                asked = evolution.ask()
                made = self._of_generation([values for _, values in asked])
                individuals += made
                facts = ({"name": one.name, "epochs": one.epochs} for one in made)
                told = zip(asked, made, facts, strict=True)
                evolution.tell([(trial, one.score, more) for (trial, _), one, more in told])
        workers = self._workers
        counts = (len(self._trained), self._epochs, tuple(workers.memory), workers.replaced)
        return SearchReport(tuple(individuals), self._goal, *counts, evolution.study)

    def _of_generation(self, asked: Sequence[Mapping[str, Value]]) -> list[Individual]:
        """Train a generation, rung by rung; its individuals in the order in which they were asked for."""
        keys = [self._subject.key(values) for values in asked]
        self._values = dict(zip(keys, asked, strict=True))
        last: dict[str, int | None] = {}
        tags = ["search", self._wanted.address, f"generation {self._generation}"]
        with self._keep(tags, self._workers.cancel) as self._listener:
            graph = Graph(tuple(Stage(self._name(key)) for key in self._values))
            self._listener.hear(RunBegan(graph, [self._wanted.address], Options()))
            left = list(self._values)
            for rung in (*self._halving.rungs, None):
                self._train(left, rung)
                self._check_metric(left)
                gone = self._given_up(left, rung)
                last |= dict.fromkeys(gone, rung)
                left = [key for key in left if key not in gone]
            found = [self._individual(key, last[key]) for key in keys]
            results = (self._result(one) for one in {one.key: one for one in found}.values())
            self._listener.hear(Summary(Report(tuple(results))))
        return found

    def _train(self, keys: Iterable[str], until: int | None) -> None:
        """Have these individuals be trained so far, but for those that were."""
        left = [key for key in keys if self._is_left(key, until)]
        for key in left:
            if key not in self._workers.homes:
                self._tell(Began(self._name(key), [self._text(key)]))
            self._hear(Progress(self._name(key), self._shown(key), "waits"))
        if left:
            self._trained |= set(left)
            tasks = [Task(key, self._subject.params(self._values[key]), until) for key in left]
            self._workers.train(tasks, self._settle)

    def _is_left(self, key: str, until: int | None) -> bool:
        """Whether an individual has to be trained; one that failed in an earlier search is tried again."""
        known = self._book.get(key)
        return not known.reaches(until) or (bool(known.error) and key not in self._trained)

    def _check_metric(self, keys: Iterable[str]) -> None:
        """Require that individuals yield the metric, once some have yielded anything.

        Raises:
            UserError: none does.
        """
        names = {name for key in keys for metrics in self._book.get(key).epochs for name in metrics}
        if names and self._goal.metric not in names:
            raise UserError(f"`train` yields no '{self._goal.metric}'; it yields {', '.join(sorted(names))}")

    def _settle(self, task: Task, trained: Trained) -> None:
        """Note how far an individual was trained; its seconds are those of all its rungs."""
        seconds = self._book.get(task.key).seconds + trained.seconds
        self._book.add(task.key, replace(trained, seconds=seconds))

    def _given_up(self, keys: Sequence[str], rung: int | None) -> set[str]:
        """Those that are not trained on after a rung; after the last one, which is None, all."""
        scores = {key: self._book.get(key).score(self._goal.metric, rung) for key in keys}
        alive = [] if rung is None else [key for key in keys if scores[key] is not None]
        alive.sort(key=lambda key: self._goal.rank(scores[key]))
        gone = set(keys) - set(alive[: math.ceil(len(keys) * self._halving.kept)])
        self._workers.forget(gone)
        for key in (key for key in keys if key in gone):
            one = self._individual(key, rung)
            self._tell(StageEnded(self._result(one)))
            fate = Fate.FAILED if one.score is None else Fate.DONE if key in self._trained else Fate.KNOWN
            metrics = dict(self._book.get(key).epochs[one.epochs - 1]) if one.epochs else {}
            shown, error = self._shown(key), one.error or f"no number for {self._goal.metric}"
            self._hear(Experiment(one.name, shown, fate, "", {"": metrics}, {}, one.seconds, error))
        return gone

    def _individual(self, key: str, until: int | None) -> Individual:
        trained = self._book.get(key)
        epochs = len(trained.epochs) if until is None else min(until, len(trained.epochs))
        score = trained.score(self._goal.metric, until)
        return Individual(self._generation, key, self._values[key], score, epochs, trained.seconds, trained.error)

    def _result(self, one: Individual) -> StageResult:
        """An individual as a stage of the run that is its generation."""
        if one.score is None:
            error = CommandFailed(self._text(one.key), 1, one.error or f"no number for {self._goal.metric}")
            return StageResult(one.name, Outcome.FAILED, error=error, seconds=one.seconds)
        outcome = Outcome.RUN if one.key in self._trained else Outcome.UNCHANGED
        return StageResult(
            one.name, outcome, f"{self._goal.metric} {one.score:.6g} after {one.epochs} epochs", one.seconds
        )

    def _on_epoch(self, task: Task, number: int, metrics: Mapping[str, float]) -> None:
        self._epochs += 1
        text = f"epoch {number}: " + ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
        self._tell(Line(self._name(task.key), text))
        self._hear(Progress(self._name(task.key), self._shown(task.key), text))

    def _tell(self, event: Event) -> None:
        assert self._listener
        self._listener.hear(event)

    def _name(self, key: str) -> str:
        return Individual(self._generation, key, {}, None, 0, 0.0).name

    def _shown(self, key: str) -> dict[str, str]:
        return {name: shown(value) for name, value in self._values[key].items()}

    def _text(self, key: str) -> str:
        return " ".join(f"{name}={value}" for name, value in self._shown(key).items())


def shown(value: Value) -> str:
    """A value as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
