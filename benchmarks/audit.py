"""A Python stage under `gliaflow repro --audit` beside the same stage without: the ratio of times.

    python -m benchmarks.audit

The stage imports what a training imports and modules of its own, and reads thousands of small files, some of which it
does not declare. Both run in turn, in pairs, in one repository, and the medians of the pairs' ratios are printed: by
the clock, with all that gliaflow does to look at the stage, and of the CPU seconds of its process. On a machine with
other work each differs by several percent from run to run. Where valgrind is installed, it counts the instructions of
the process, which do not, and the bar holds for them; else it holds for the CPU seconds.
"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from gliaflow.audit.declared import Declared
from gliaflow.audit.watch.notes import Notes
from gliaflow.core.report import Outcome
from tests.support.repos import GLIAFLOW, Project, environment

PAIRS = 20
FILES, UNDECLARED, MODULES = 4000, 40, 200
BAR = 1.05
DEPS, OUTS = ["work.py", "declared", "modules"], ["out.txt", "cpu.txt"]
COUNTED = re.compile(r"I\s+refs:\s+([\d,]+)")  # what cachegrind says at its end
WORK = """
import time
import asyncio, csv, email, http.client, json, sqlite3, unittest, xml.dom.minidom
import numpy, pandas, scipy.stats
from modules import *

total = 0
for folder in ("declared", "other"):
    for number in range(%(FILES)d if folder == "declared" else %(UNDECLARED)d):
        with open(f"{folder}/{number}.json") as file:
            total += sum(json.load(file)["values"])
with open("out.txt", "w") as file:
    file.write(str(total))
with open("cpu.txt", "w") as file:
    file.write(str(time.process_time()))
"""


class Took(NamedTuple):
    """What one run of the stage took."""

    seconds: float
    cpu: float


def prepared(project: Project) -> None:
    """A repository with the stage, which has run once: its modules are compiled."""
    listed = [f"m{number}" for number in range(MODULES)]
    text = json.dumps({"values": list(range(200))})
    project.write({"work.py": WORK % {"FILES": FILES, "UNDECLARED": UNDECLARED}})
    project.write({".dvcignore": "__pycache__\n", "modules/__init__.py": f"__all__ = {listed}\n"})
    project.write({f"modules/{name}.py": f"def f():\n    return '{name}'\n" for name in listed})
    project.write({f"declared/{number}.json": text for number in range(FILES)})
    project.write({f"other/{number}.json": text for number in range(UNDECLARED)})
    stage = {
        "cmd": f"{sys.executable} work.py",
        "deps": ["work.py", "declared", "modules"],
        "outs": ["out.txt", "cpu.txt"],
    }
    project.pipeline({"work": stage})
    timed(project, audit=False)


def timed(project: Project, audit: bool) -> Took:
    """What the stage takes in a run of its own."""
    line = [*GLIAFLOW, "repro", "--json", "--quiet", "--no-prefect", "--force", "--no-run-cache"]
    line += ["--audit"] if audit else []
    ran = subprocess.run(line, cwd=project.root, env=project.environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        sys.exit(f"{ran.stderr}\nerror: {' '.join(line)}: exit {ran.returncode}")
    (stage,) = json.loads(ran.stdout)["stages"]
    assert stage["outcome"] == Outcome.RUN.name.lower()
    if audit and len(stage["undeclared"]["read"]) != UNDECLARED:
        sys.exit(f"error: {len(stage['undeclared']['read'])} files were named, and {UNDECLARED} are not declared")
    return Took(float(stage["seconds"]), float((project.root / "cpu.txt").read_text()))


def instructions(project: Project) -> float:
    """How many times as many instructions the stage's process executes when it is looked at."""
    paths = [frozenset(str(project.root / name) for name in names) for names in (DEPS, OUTS)]
    notes = Notes(project.root.parent / "notes", [str(project.root)], Declared("work", project.root, *paths))
    line = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"]
    counts = []
    for variables in (notes.environment(project.environment), project.environment):
        given = {**variables, "PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1"}
        ran = subprocess.run(
            [*line, sys.executable, "work.py"], cwd=project.root, env=given, capture_output=True, text=True, check=True
        )
        counts.append(int(COUNTED.findall(ran.stderr)[0].replace(",", "")))
    if len(notes.taken().read) != UNDECLARED:
        sys.exit("error: the stage was not looked at")
    print(f"instructions: with --audit {counts[0]:.3e}, without {counts[1]:.3e}; ratio {counts[0] / counts[1]:.3f}")
    return counts[0] / counts[1]


def main() -> None:
    """Run the pairs, each beginning with the other one, and print the ratios; exit code 1 if the bar is missed."""
    with TemporaryDirectory() as folder:
        project = Project(Path(folder).resolve() / "repo", environment(Path(folder)))
        prepared(project)
        pairs = []
        for number in range(PAIRS):
            took = {audit: timed(project, audit) for audit in ([False, True] if number % 2 else [True, False])}
            pairs.append((took[True], took[False]))
        _ratio("clock", [(looked.seconds, plain.seconds) for looked, plain in pairs])
        ratio = _ratio("CPU", [(looked.cpu, plain.cpu) for looked, plain in pairs])
        if shutil.which("valgrind"):
            ratio = instructions(project)
    print(f"bar {BAR}: {'missed' if ratio > BAR else 'ok'}")
    sys.exit(ratio > BAR)


def _ratio(what: str, pairs: Sequence[tuple[float, float]]) -> float:
    """The median of the ratios, printed with what it comes from."""
    looked, plain = (median(side) for side in zip(*pairs, strict=True))
    ratios = [one / other for one, other in pairs]
    print(f"{what}: with --audit {looked:.3f} s, without {plain:.3f} s (medians)", end="; ")
    print(f"ratio {median(ratios):.3f}, the median of {len(pairs)} pairs ({min(ratios):.3f} to {max(ratios):.3f})")
    return median(ratios)


if __name__ == "__main__":
    main()
