"""`gliaflow repro` beside `dvc repro` and Snakemake, on the same generated graphs; prints the ratio of times.

    python -m benchmarks.repro [small] [stages] [restored] [unchanged] [large] [growth] [folder] [sleeps] [server]

All parts by default; they take about half an hour where nothing else runs. A time is that of one whole process, from
prompt to prompt. No Prefect server runs before it, but in the part `server`, which starts one first and does not count
that. The programs take turns. The median of 7 runs counts; of 3, where one takes long: the table says of how many.

All get as many jobs as there are CPUs (`sleeps`: one for each stage), and run without a terminal. Snakemake is
installed in an environment of its own in the user's cache. It gets the same commands, inputs and outputs, and all else
as it comes: it runs again what is older than its inputs, or has other code, inputs or parameters. So it reads time
stamps first, where DVC and we go by contents alone, and it has nothing like the run-cache. Its outputs must be the
bytes of ours. What we and `dvc repro` leave is compared byte for byte; 3,000 stages are too many for `dvc repro`.

CPU and the peak of memory are those of all processes of a run together. A fixed loop of Python is timed first and last:
if the two differ, the machine had other work. Python may write what it compiled, whatever PYTHONDONTWRITEBYTECODE says.
Exits with 1 when a bar was missed.
"""

import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import graphs, peers
from benchmarks.clock import Took, yardstick
from benchmarks.graphs import Stages
from benchmarks.peers import Tool, contest
from benchmarks.table import Bar, Row, show
from gliaflow.flow.server import shared
from tests.support.repos import Project

SHORT, LONG = 7, 3  # runs: of what is short, and of what takes minutes
STAGES, LARGE = 176, 3000
SIZES = {100: SHORT, 300: SHORT, 1000: LONG}  # of smaller graphs, and how often each runs
SLEEPS, SLEEP_SECONDS = 8, 5
READERS, FILES = 8, 10_000
CHANGING = "changing.txt"


@dataclass
class Bench:
    """Has the programs, makes repositories for them, and keeps what several parts use."""

    folder: Path
    latest: dict[tuple[str, Tool], Project] = field(default_factory=dict)
    """Of each kind of repository the last one that a program used."""

    @cached_property
    def ours(self) -> Tool:
        """The engine without a server."""
        return self.warm(peers.gliaflow(self.folder / "prefect"))

    @cached_property
    def dvc(self) -> Tool:
        """DVC."""
        return self.warm(peers.dvc(self.folder / "prefect"))

    @cached_property
    def snakemake(self) -> Tool:
        """Snakemake, installed if need be."""
        return self.warm(peers.snakemake(self.folder / "prefect"))

    def warm(self, tool: Tool) -> Tool:
        """A program that has run once: its files are compiled, and in memory."""
        tool.run(self.new("warm-up", graphs.graph(3))(tool, 0))
        return tool

    def new(self, kind: str, stages: Stages, files: Mapping[str, str] = graphs.SEED) -> Callable[[Tool, int], Project]:
        """What makes a repository with these stages and files for a program."""

        def make(tool: Tool, number: int) -> Project:
            project = Project(self.folder / f"{kind}-{tool.name}-{number}", tool.environment)
            project.write({**files, "Snakefile": graphs.snakefile(stages)})
            project.pipeline(dict(stages))
            self.latest[kind, tool] = project
            return project

        return make

    def same(self, kind: str) -> Callable[[Tool, int], Project]:
        """What gives a program the repository that it used last."""
        return lambda tool, _: self.latest[kind, tool]

    def changed(self, kind: str, path: str) -> Callable[[Tool, int], Project]:
        """What gives it that one with another text in one file."""

        def change(tool: Tool, number: int) -> Project:
            self.latest[kind, tool].write({path: f"changed for run {number}\n"})
            return self.latest[kind, tool]

        return change

    def forgotten(self, kind: str) -> Callable[[Tool, int], Project]:
        """What gives it that one, left with its cache alone."""

        def forget(tool: Tool, _: int) -> Project:
            project = self.latest[kind, tool]
            for path in [project.root / "dvc.lock", *project.root.glob("o*.txt")]:
                path.unlink()
            return project

        return forget

    def agree(self, kind: str, ours: Tool, dvc: Tool) -> None:
        """Check that the engine and DVC left the same."""
        if self.latest[kind, ours].left() != self.latest[kind, dvc].left():
            sys.exit(f"error: {kind}: we and dvc repro do not leave the same dvc.lock, .gitignore and run-cache")

    def equal(self, kind: str, stages: Stages) -> None:
        """Check that the engine and Snakemake wrote the same outputs."""
        roots = [self.latest[kind, tool].root for tool in (self.ours, self.snakemake)]
        for path in graphs.outputs(stages):
            if (roots[0] / path).read_bytes() != (roots[1] / path).read_bytes():
                sys.exit(f"error: {kind}: snakemake does not write the same {path}")

    @cached_property
    def some(self) -> dict[Tool, Took]:
        """The first run of the graph that all three bring up to date."""
        stages, times = graphs.graph(STAGES), {self.ours: SHORT, self.snakemake: SHORT, self.dvc: LONG}
        found = contest(self.new("stages", stages), times)
        self.agree("stages", self.ours, self.dvc)
        self.equal("stages", stages)
        return found

    @cached_property
    def many(self) -> dict[Tool, Took]:
        """The first run of the large graph."""
        stages = graphs.graph(LARGE)
        found = contest(self.new("large", stages), {self.ours: LONG, self.snakemake: LONG})
        self.equal("large", stages)
        return found

    def few(self, kind: str, ours: Tool) -> dict[Tool, Took]:
        """One stage of two changed, each time in another way."""
        files = {**graphs.SEED, CHANGING: "at first\n"}
        contest(self.new(kind, graphs.two(CHANGING), files), {ours: 1, self.dvc: 1})
        found = contest(self.changed(kind, CHANGING), {ours: SHORT, self.dvc: SHORT})
        self.agree(kind, ours, self.dvc)
        return found

    @cached_property
    def smallest(self) -> dict[Tool, Took]:
        """One stage of two changed, without a server."""
        return self.few("small", self.ours)

    @cached_property
    def start(self) -> dict[Tool, Took]:
        """Nothing changed in two stages: what a run takes to start and end."""
        assert self.smallest
        return contest(self.same("small"), {self.ours: SHORT, self.dvc: SHORT})


def small(bench: Bench) -> Iterator[Row]:
    """Two stages: one changed, and none."""
    for what, found, bar in (("one changed", bench.smallest, Bar(1.1)), ("unchanged", bench.start, Bar(1))):
        yield Row(f"2 stages, {what}", found[bench.ours], "dvc", found[bench.dvc], bar)


def stages(bench: Bench) -> Iterator[Row]:
    """All stages run."""
    for peer, bar in ((bench.dvc, Bar(1 / 15)), (bench.snakemake, Bar(1))):
        yield Row(f"{STAGES} stages", bench.some[bench.ours], peer.name, bench.some[peer], bar)


def restored(bench: Bench) -> Iterator[Row]:
    """All stages come from the run-cache."""
    assert bench.some
    found = contest(bench.forgotten("stages"), {bench.ours: SHORT, bench.dvc: LONG})
    bench.agree("stages", bench.ours, bench.dvc)
    yield Row(f"{STAGES} restored", found[bench.ours], "dvc", found[bench.dvc], Bar(1 / 12))


def unchanged(bench: Bench) -> Iterator[Row]:
    """Nothing is to be done."""
    assert bench.some
    found = contest(bench.same("stages"), dict.fromkeys((bench.ours, bench.dvc, bench.snakemake), SHORT))
    for peer, bar in ((bench.dvc, Bar(1 / 2)), (bench.snakemake, Bar(1))):
        yield Row(f"{STAGES} unchanged", found[bench.ours], peer.name, found[peer], bar)


def large(bench: Bench) -> Iterator[Row]:
    """More stages than DVC brings up to date in minutes: all run, and none."""
    first = bench.many
    again = contest(bench.same("large"), {bench.ours: LONG, bench.snakemake: LONG})
    for what, found in (("stages", first), ("unchanged", again)):
        yield Row(f"{LARGE} {what}", found[bench.ours], "snakemake", found[bench.snakemake], Bar(1))


def growth(bench: Bench) -> Iterator[Row]:
    """What a stage costs beside what it costs in the smallest graph; the start of a run is no stage's."""
    start, ours = bench.start[bench.ours].seconds, bench.ours
    runs = {
        number: contest(bench.new(f"of-{number}", graphs.graph(number)), {ours: times})[ours]
        for number, times in SIZES.items()
    }
    runs[LARGE] = bench.many[ours]
    (least, base), *more = [
        (number, took._replace(seconds=(took.seconds - start) / number)) for number, took in runs.items()
    ]
    for number, cost in more:
        yield Row(f"one of {number} stages", cost, f"one of {least}", base, Bar(1.25))


def folder(bench: Bench) -> Iterator[Row]:
    """Stages that read one folder of many files: first, with nothing changed, and with one file changed."""
    stages, files, both = graphs.readers(READERS), graphs.files(FILES), dict.fromkeys((bench.ours, bench.dvc), SHORT)
    for what, ready in (
        ("first", bench.new("folder", stages, files)),
        ("unchanged", bench.same("folder")),
        ("one changed", bench.changed("folder", next(iter(files)))),
    ):
        found = contest(ready, both)
        bench.agree("folder", bench.ours, bench.dvc)
        yield Row(f"{READERS} × {FILES} files, {what}", found[bench.ours], "dvc", found[bench.dvc], Bar(1 / 2))


def sleeps(bench: Bench) -> Iterator[Row]:
    """Independent stages that wait, side by side."""
    ours = peers.gliaflow(bench.folder / "prefect", jobs=SLEEPS)
    found = contest(bench.new("sleeps", graphs.sleepers(SLEEPS, SLEEP_SECONDS)), {ours: LONG, bench.dvc: LONG})
    bench.agree("sleeps", ours, bench.dvc)
    yield Row(f"{SLEEPS} × sleep {SLEEP_SECONDS}", found[ours], "dvc", found[bench.dvc], Bar(1 / 7))


def server(bench: Bench) -> Iterator[Row]:
    """With a configured server on this machine: one stage of two changed, and all stages of a graph."""
    with shared(bench.folder / "server") as url:
        ours = bench.warm(replace(peers.gliaflow(bench.folder / "server", url), name="gliaflow-served"))
        found = bench.few("served-small", ours)
        yield Row("2 stages, one changed, server", found[ours], "dvc", found[bench.dvc], Bar(1, 2))
        found = contest(bench.new("served", graphs.graph(STAGES)), {ours: SHORT, bench.dvc: LONG})
        bench.agree("served", ours, bench.dvc)
        yield Row(f"{STAGES} stages, server", found[ours], "dvc", found[bench.dvc], Bar(1 / 7))


PARTS = {part.__name__: part for part in (small, stages, restored, unchanged, large, growth, folder, sleeps, server)}


def measured(names: Sequence[str]) -> list[Row]:
    """Measure these parts."""
    with TemporaryDirectory() as name:
        bench = Bench(Path(name))
        return [row for part in names for row in PARTS[part](bench)]


def main(names: Sequence[str]) -> None:
    """Measure the parts, all if none is named, and print the table."""
    if unknown := set(names) - set(PARTS):
        sys.exit(f"error: no part is called {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    logging.getLogger("dvc").setLevel(logging.WARNING)
    print(f"{peers.CPUS} CPUs; yardstick {yardstick():.3f} s")
    rows = measured(names or list(PARTS))
    print(f"yardstick {yardstick():.3f} s")
    show(rows)
    sys.exit(any(row.missed for row in rows))


if __name__ == "__main__":
    main(sys.argv[1:])
