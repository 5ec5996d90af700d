"""`gliaflow repro` beside `dvc repro`, on the same generated graphs in one run; prints the ratio of times.

    python -m benchmarks.repro [stages] [restored] [unchanged] [sleeps] [growth]

All parts by default; the peer of growth is a smaller graph of our own, since DVC takes minutes for the large one. Times
are of whole processes, and leave out the start of Prefect's server. What both leave is compared byte for byte. Exits
with 1 when a bar was missed.
"""

import logging
import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from gliaflow.flow.server import shared
from tests.support.repos import Project, environment

RUNS = 3  # of what is short; their median counts
STAGES = 176
SLEEPS, SLEEP_SECONDS = 8, 5
FEW, MANY = 100, 1000

Stages = dict[str, dict[str, Any]]


class Row(NamedTuple):
    """Two times in seconds, and the most that ours may be."""

    what: str
    ours: float
    peer: float
    bar: str = ""  # in words; without one they are for information
    most: float = math.inf


@dataclass
class Bench:
    """Makes repositories, and keeps those that several parts use."""

    folder: Path
    variables: dict[str, str]

    def project(self, name: str, stages: Stages) -> Project:
        """A new repository with these stages."""
        made = Project(self.folder / name, self.variables)
        made.write({"seed.txt": "seed\n"})
        made.pipeline(stages)
        return made

    @cached_property
    def ran(self) -> tuple[Project, Project, float, float]:
        """Two repositories in which the flow and DVC ran the same stages, and the seconds that it took."""
        flows = [self.project(f"flow-{number}", graph(STAGES)) for number in range(RUNS)]
        peer = self.project("dvc", graph(STAGES))
        ours, theirs = median([flow(each) for each in flows]), dvc(peer)
        agree(flows[0], peer)
        return flows[0], peer, ours, theirs


def graph(number: int) -> Stages:
    """Stages that each read up to two earlier outputs, always the same."""
    chance, found = random.Random(1), {}
    for n in range(number):
        deps = sorted({f"o{chance.randrange(n)}.txt" for _ in range(2)}) if n else ["seed.txt"]
        command = f"cat {' '.join(deps)} > o{n}.txt && echo {n} >> o{n}.txt"
        found[f"s{n}"] = {"cmd": command, "deps": deps, "outs": [f"o{n}.txt"]}
    return found


def stages(bench: Bench) -> Iterator[Row]:
    """All stages run."""
    *_, ours, theirs = bench.ran
    yield Row(f"{STAGES} stages", ours, theirs, "≤ 1/6", theirs / 6)


def restored(bench: Bench) -> Iterator[Row]:
    """All stages come from the run-cache."""
    mine, peer, *_ = bench.ran
    ours = median([flow(forgetful(mine)) for _ in range(RUNS)])
    theirs = dvc(forgetful(peer))
    agree(mine, peer)
    yield Row(f"{STAGES} restored", ours, theirs, "≤ 1/5", theirs / 5)


def unchanged(bench: Bench) -> Iterator[Row]:
    """Nothing is to be done."""
    mine, peer, *_ = bench.ran
    ours, theirs = median([flow(mine) for _ in range(RUNS)]), median([dvc(peer) for _ in range(RUNS)])
    yield Row(f"{STAGES} unchanged", ours, theirs, "≤ peer + 3 s", theirs + 3)


def sleeps(bench: Bench) -> Iterator[Row]:
    """Independent stages that wait."""
    command = f"sleep {SLEEP_SECONDS} && echo %d > o%d.txt"
    found = {f"s{n}": {"cmd": command % (n, n), "deps": ["seed.txt"], "outs": [f"o{n}.txt"]} for n in range(SLEEPS)}
    mine, peer = bench.project("sleeps-flow", found), bench.project("sleeps-dvc", found)
    ours, theirs = flow(mine, "--jobs", str(SLEEPS)), dvc(peer)
    agree(mine, peer)
    yield Row(f"{SLEEPS} × sleep {SLEEP_SECONDS}", ours, theirs, "≤ 1/6", theirs / 6)


def growth(bench: Bench) -> Iterator[Row]:
    """What a stage costs in a large graph and in a small one."""
    few = [bench.project(f"few-{number}", graph(FEW)) for number in range(RUNS)]
    many = bench.project("many", graph(MANY))
    small, large = median([flow(each) for each in few]), flow(many)
    yield Row(f"one of {MANY} stages, of {FEW}", large / MANY, small / FEW, "≤ 1.5", 1.5 * small / FEW)
    small, large = small - median([flow(each) for each in few]), large - flow(many)
    yield Row("… less an unchanged run", large / MANY, small / FEW)


def flow(project: Project, *arguments: str) -> float:
    """Seconds of a run of the flow."""
    return _seconds(project, "gliaflow", "repro", *arguments)


def dvc(project: Project) -> float:
    """Seconds of a run of DVC."""
    return _seconds(project, "dvc", "repro")


def _seconds(project: Project, *module: str) -> float:
    load, before, began = os.getloadavg()[0], os.times(), time.perf_counter()
    line = (sys.executable, "-m", *module)
    subprocess.run(line, cwd=project.root, env=project.environment, stdout=subprocess.DEVNULL, check=True)
    wall, cpu = time.perf_counter() - began, sum(os.times()[2:4]) - sum(before[2:4])
    print(f"{project.root.name}: {module[0]} {wall:.2f} s, CPU {cpu:.2f} s; load before {load:.1f}", flush=True)
    return wall


def forgetful(project: Project) -> Project:
    """The repository, left with its cache alone."""
    for path in [project.root / "dvc.lock", *project.root.glob("o*.txt")]:
        path.unlink()
    return project


def agree(mine: Project, peer: Project) -> None:
    """Check that both left the same."""
    if mine.left() != peer.left():
        sys.exit("error: the flow and dvc repro do not leave the same dvc.lock, .gitignore and run-cache")


PARTS = {part.__name__: part for part in (stages, restored, unchanged, sleeps, growth)}


def main(names: Sequence[str]) -> None:
    """Measure the parts and print the table."""
    if unknown := set(names) - set(PARTS):
        sys.exit(f"error: no part is called {', '.join(unknown)}; there are {', '.join(PARTS)}")
    logging.getLogger("dvc").setLevel(logging.WARNING)
    with TemporaryDirectory() as folder, shared(Path(folder) / "prefect") as url:
        bench = Bench(Path(folder), environment(Path(folder) / "prefect", url))
        flow(bench.project("warm-up", graph(3)))
        dvc(bench.project("warm-up-dvc", graph(3)))
        rows = [row for name in names or PARTS for row in PARTS[name](bench)]
    table = Table("what", "ours (s)", "peer (s)", "ratio", "bar", "", box=None)
    for row in rows:
        figures = [f"{figure:.3f}" for figure in (row.ours, row.peer, row.ours / row.peer)]
        table.add_row(row.what, *figures, row.bar, ("missed" if row.ours > row.most else "ok") if row.bar else "")
    Console().print(table)
    sys.exit(any(row.ours > row.most for row in rows))


if __name__ == "__main__":
    main(sys.argv[1:])
