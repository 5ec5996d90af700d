"""176 short stages as they are run, beside a gliaflow that measures nothing and keeps no journal: the ratio of times.

    python -m benchmarks.listeners

The other gliaflow is a copy of this one whose modules for these two do nothing, and which does not ask what the journal
would keep of a stage. Both run in turn, in pairs, each on a new repository, and the medians of the pairs' ratios are
printed, by the clock and of the CPU seconds of all processes.
"""

import shutil
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.clock import Took, timed
from tests.support.repos import SOURCE, Project, environment

STAGES, PAIRS, BAR = 176, 25, 1.05
START = "from gliaflow.__main__ import main; main()"
QUIET = f"from gliaflow.workspace.workspace import Workspace; Workspace.recorded = lambda *_: None; {START}"
METER = """
from collections.abc import Iterator
from typing import Any, TypedDict


class Usage(TypedDict):
    wall_seconds: float


class Meter:
    due = 3600.0

    def look(self) -> None: ...

    def read(self) -> Any:
        return None


def descendants(pid: int) -> Iterator[int]:
    yield from ()
"""
JOURNAL = """
from pathlib import Path


class Journal:
    def __init__(self, where: Path, *_: object) -> None:
        self.id, self.path, self.wrong = "none", where / "none", ""

    def hear(self, event: object) -> None: ...

    def hear_all(self, events: object) -> None: ...

    def close(self) -> None: ...
"""


def main() -> None:
    """Run the pairs, each beginning with the other one; exit code 1 if the bar is missed."""
    with TemporaryDirectory() as folder:
        bare = Path(folder) / "source"
        shutil.copytree(SOURCE / "gliaflow", bare / "gliaflow", ignore=shutil.ignore_patterns("__pycache__"))
        (bare / "gliaflow/resources/usage.py").write_text(METER)
        (bare / "gliaflow/journal/writer.py").write_text(JOURNAL)
        for whole in (True, False):  # which compiles the copy
            ran(Path(folder), bare, whole)
        pairs = []
        for number in range(PAIRS):
            took = {whole: ran(Path(folder), bare, whole) for whole in ([False, True] if number % 2 else [True, False])}
            pairs.append((took[True], took[False]))
    ratios = {name: [getattr(one, name) / getattr(other, name) for one, other in pairs] for name in ("seconds", "cpu")}
    for name, found in ratios.items():
        print(f"{name}: {median(found):.3f}, the median of {PAIRS} pairs ({min(found):.3f} to {max(found):.3f})")
    ratio = median(ratios["seconds"])
    print(f"bar {BAR}: {'missed' if ratio > BAR else 'ok'}")
    sys.exit(ratio > BAR)


def ran(folder: Path, bare: Path, whole: bool) -> Took:
    """What a run of the stages takes, by this gliaflow or by the bare one."""
    name = "whole" if whole else "bare"
    shutil.rmtree(folder / name, ignore_errors=True)
    project = Project((folder / name).resolve(), environment(folder))
    project.pipeline({f"s{n}": {"cmd": f"echo {n} > o{n}", "outs": [f"o{n}"]} for n in range(STAGES)})
    source = str(SOURCE if whole else bare)
    given = {**project.environment, "PYTHONPATH": source}
    took = timed([sys.executable, "-c", START if whole else QUIET, "repro", "-q"], project.root, given)
    journals = [*(project.root / ".dvc/tmp/gliaflow").rglob("*.jsonl")]
    if bool(journals) is not whole:
        sys.exit(f"error: {name} has {len(journals)} journals")
    return took


if __name__ == "__main__":
    main()
