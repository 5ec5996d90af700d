"""What a person sees of experiments: a live table on a terminal, else a line for each one that has ended."""

import sys
import threading
import time
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gliaflow.errors import one_line
from gliaflow.experiments.results import Experiment, Fate, Progress, rank, telling
from gliaflow.store.metrics import text

MOST_ROWS = 10  # of ended experiments in the live table
TAIL = 5  # last lines of an experiment that failed
DRAWN_A_SECOND = 4


class Board:
    """Shows experiments as they come; `metric` is what they are compared by, if anything."""

    def __init__(
        self,
        total: int,
        params: Sequence[str],
        metric: str | None = None,
        minimize: bool = False,
        quiet: bool = False,
        file: Any = None,
        what: str = "experiments",
    ) -> None:
        self._total, self._params, self._metric, self._minimize = total, params, metric, minimize
        self._console = Console(file=file or sys.stdout, highlight=False, soft_wrap=True)
        self._quiet, self._what, self._began = quiet, what, time.monotonic()
        self._running: dict[str, tuple[Progress, float]] = {}
        self._ended: list[Experiment] = []
        self._lock = threading.Lock()
        live = self._console.is_terminal and not self._console.is_dumb_terminal and not quiet
        self._live = Live(console=self._console, refresh_per_second=DRAWN_A_SECOND, transient=True) if live else None
        if self._live:
            self._live.get_renderable = self._drawn  # type: ignore[method-assign]

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def hear(self, one: Progress | Experiment) -> None:
        """Take what an experiment tells."""
        with self._lock:
            if isinstance(one, Progress):
                began = self._running[one.name][1] if one.name in self._running else time.monotonic()
                self._running[one.name] = one, began
                return
            self._running.pop(one.name, None)
            self._ended.append(one)
            if not self._live and not self._quiet and one.fate is not Fate.KNOWN:
                self._console.print(self._line(one), markup=False)

    def say(self, text: str) -> None:
        """One line of the command's own."""
        if not self._quiet:
            self._console.print(text, markup=False)

    def _line(self, one: Experiment) -> str:
        """`[3/24] puffy-daks  a=1  accuracy 0.97  12.3 s`."""
        params = " ".join(f"{short(name)}={one.params[name]}" for name in self._params if name in one.params)
        what = one.error if one.fate is Fate.FAILED else "  ".join(self._scores(one))
        what = f"failed: {what}" if one.fate is Fate.FAILED else what
        parts = [f"[{len(self._ended)}/{self._total}]", one.name, params, what, f"{one.seconds:.1f} s"]
        return "  ".join(filter(None, map(one_line, parts)))

    def _scores(self, one: Experiment) -> list[str]:
        names = [self._metric] if self._metric else telling([one])
        return [f"{short(name)} {_cell(one, name)}" for name in names]

    def _drawn(self) -> Group:
        """The live table: what runs, the best or the last that have ended, and how far it all is."""
        with self._lock:
            ended = list(self._ended)
            running = list(self._running.values())
        done = [one for one in ended if one.fate is not Fate.FAILED]
        shown = ordered(done, self._metric, self._minimize)[:MOST_ROWS] if self._metric else done[-MOST_ROWS:]
        names = [self._metric] if self._metric else telling(done)
        grid = table(shown, self._params, names, self._metric, self._minimize)
        for one, since in running:
            cells = [one.params.get(name, "") for name in self._params]
            grid.add_row(
                one.name, *cells, *[""] * len(names), f"{time.monotonic() - since:.0f} s", one.text, style="cyan"
            )
        failed = len(ended) - len(done)
        far = f"{len(ended)} of {self._total} {self._what}{f', {failed} failed' if failed else ''}"
        far += f"; {time.monotonic() - self._began:.0f} s"
        return Group(grid, Text(far))


def table(
    found: Iterable[Experiment],
    params: Sequence[str],
    metrics: Sequence[str],
    metric: str | None = None,
    minimize: bool = False,
) -> Table:
    """A row for each experiment; the best one is marked."""
    found = list(found)
    scored = [one for one in found if metric and one.score(metric) is not None]
    best = next(iter(ordered(scored, metric, minimize)), None)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("experiment", *map(short, params)):
        grid.add_column(title, overflow="fold")
    for title in (*map(short, metrics), "time"):
        grid.add_column(title, justify="right", overflow="fold")
    grid.add_column("")
    for one in found:
        what = {Fate.FAILED: "failed", Fate.KNOWN: "known"}.get(one.fate, "")
        mark = "best" if metric and one is best else what
        cells = [one.params.get(name, "") for name in params]
        scores = [_cell(one, name) for name in metrics]
        style = "bold green" if mark == "best" else "red" if one.fate is Fate.FAILED else ""
        grid.add_row(one.name, *cells, *scores, f"{one.seconds:.1f} s", mark, style=style)
    return grid


def ordered(found: Sequence[Experiment], metric: str | None, minimize: bool) -> list[Experiment]:
    """The best first; those without the metric at the end. As they are, if no metric is chosen."""
    if not metric:
        return list(found)
    return sorted(found, key=lambda one: rank(one.score(metric), minimize))


def short(name: str) -> str:
    """The end of a name: `learning_rate` of `lgg.train.optimizer.learning_rate`, `accuracy` of `m.json:accuracy`."""
    return name.rpartition(":")[2].rpartition(".")[2]


def _cell(one: Experiment, metric: str) -> str:
    value = one.value(metric)
    return "" if value is None else one_line(text(value))


def failures(found: Iterable[Experiment]) -> Iterable[str]:
    """What is told of experiments that failed: why, and their last lines."""
    for one in found:
        params = ", ".join(f"{name}={value}" for name, value in one.params.items())
        yield f"{one.name}{f' ({params})' if params else ''} failed: {one.error}"
        yield from (f"    {line}" for line in one.tail[-TAIL:])
