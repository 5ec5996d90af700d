"""A Python stage under `gliaflow repro --audit` beside the same stage without: the ratio of times.

    python -m benchmarks.audit

The stage imports what a training imports and modules of its own, and reads thousands of small files, some of which it
does not declare. Both run in turn, in pairs, in one repository. The median of the pairs' ratios counts; what runs on
the machine besides weighs on both. The time is that of the stage with all that is done to look at it.
"""

import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from gliaflow.core.report import Outcome
from tests.support.repos import GLIAFLOW, Project, environment

PAIRS = 15
FILES, UNDECLARED, MODULES = 4000, 40, 200
BAR = 1.05
WORK = """
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
"""


def prepared(project: Project) -> None:
    """A repository with the stage, which has run once: its modules are compiled."""
    listed = [f"m{number}" for number in range(MODULES)]
    text = json.dumps({"values": list(range(200))})
    project.write({"work.py": WORK % {"FILES": FILES, "UNDECLARED": UNDECLARED}})
    project.write({".dvcignore": "__pycache__\n", "modules/__init__.py": f"__all__ = {listed}\n"})
    project.write({f"modules/{name}.py": f"def f():\n    return '{name}'\n" for name in listed})
    project.write({f"declared/{number}.json": text for number in range(FILES)})
    project.write({f"other/{number}.json": text for number in range(UNDECLARED)})
    stage = {"cmd": f"{sys.executable} work.py", "deps": ["work.py", "declared", "modules"], "outs": ["out.txt"]}
    project.pipeline({"work": stage})
    seconds(project, audit=False)


def seconds(project: Project, audit: bool) -> float:
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
    return float(stage["seconds"])


def main() -> None:
    """Run the pairs, each beginning with the other one, and print the ratio; exit code 1 if it is above the bar."""
    with TemporaryDirectory() as folder:
        project = Project(Path(folder) / "repo", environment(Path(folder)))
        prepared(project)
        plain, looked, ratios = [], [], []
        for number in range(PAIRS):
            took = {audit: seconds(project, audit) for audit in ([False, True] if number % 2 else [True, False])}
            plain.append(took[False])
            looked.append(took[True])
            ratios.append(took[True] / took[False])
    ratio = median(ratios)
    print(f"with --audit {median(looked):.3f} s, without {median(plain):.3f} s (medians of {PAIRS} runs each)")
    print(f"ratio {ratio:.3f}, the median of {PAIRS} pairs ({min(ratios):.3f} to {max(ratios):.3f}); bar {BAR}")
    print(f"of the fastest runs {min(looked) / min(plain):.3f}")
    sys.exit(ratio > BAR)


if __name__ == "__main__":
    main()
