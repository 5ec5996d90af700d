"""Journals of runs that never were, for the tests of what reads them."""

from collections.abc import Sequence
from pathlib import Path

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.options import Options
from gliaflow.core.report import Began, Event, Line, Outcome, Report, RunBegan, StageEnded, StageResult, Summary
from gliaflow.journal.writer import Journal

GRAPH = Graph((Stage("one"), Stage("two", ("one",))))
BEGAN = 1_705_305_600.0  # seconds since 1970: in the past, wherever it is read
ONE = StageResult("one", Outcome.RUN, "seed.txt changed", 2.0, {"one.txt": "0123456789abcdef"})
TWO = StageResult("two", Outcome.UNCHANGED)
WHOLE: Sequence[Event] = (
    Began("one", ["make one"], when=BEGAN + 1),
    Line("one", "hello", when=BEGAN + 2),
    Line("one", "a bar that is not finished", whole=False, when=BEGAN + 2.5),
    StageEnded(ONE, when=BEGAN + 3),
    StageEnded(TWO, when=BEGAN + 3.5),
    Summary(Report((ONE, TWO)), when=BEGAN + 4),
)


def journal(where: Path, home: Path, events: Sequence[Event] = WHOLE, graph: Graph = GRAPH, **facts: object) -> Journal:
    """The open journal of a run that told these events; whoever gets it closes it."""
    made = Journal(where, home, facts)
    made.hear(RunBegan(graph, ["two"], Options(force=True), when=BEGAN))
    for event in events:
        made.hear(event)
    assert not made.wrong
    return made


def written(where: Path, home: Path, events: Sequence[Event] = WHOLE, graph: Graph = GRAPH, **facts: object) -> Path:
    """The journal of a run that told these events and has ended, in whatever way."""
    made = journal(where, home, events, graph, **facts)
    made.close()
    return made.path
