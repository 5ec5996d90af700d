"""The programs that are measured: ours, DVC, and Snakemake in an environment of its own."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import Took, timed
from tests.support.repos import Project, environment

SNAKEMAKE = "9.27.1"
CPUS = len(os.sched_getaffinity(0))


@dataclass(eq=False)
class Tool:
    """A command that brings a repository up to date."""

    name: str
    line: tuple[str, ...]
    environment: dict[str, str]

    def run(self, project: Project) -> Took:
        """Bring this repository up to date."""
        return timed(self.line, project.root, self.environment)


def gliaflow(home: Path, api: str | None = None, jobs: int = CPUS) -> Tool:
    """This engine, with slots of its own, and with the server at `api` if there is one."""
    line = (sys.executable, "-m", "gliaflow", "repro", "--jobs", str(jobs))
    return Tool("gliaflow", line, environment(home, api))


def dvc(home: Path) -> Tool:
    """`dvc repro`."""
    return Tool("dvc", (sys.executable, "-m", "dvc", "repro"), environment(home))


def snakemake(home: Path) -> Tool:
    """Snakemake with as many jobs, and all else as it comes."""
    programs = _snakemake()
    known = {name: value for name, value in environment(home).items() if name != "PYTHONPATH"}
    known["PATH"] = os.pathsep.join([str(programs), known["PATH"]])
    return Tool("snakemake", (str(programs / "snakemake"), "--cores", str(CPUS)), known)


def _snakemake() -> Path:
    """The folder of its programs, in the user's cache; installed if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gliaflow-benchmarks"
    place = cache / f"snakemake-{SNAKEMAKE}-python-{sys.version_info.major}.{sys.version_info.minor}"
    ready = place / ".ready"
    if not ready.exists():
        print(f"installing snakemake {SNAKEMAKE} in {place}", flush=True)
        shutil.rmtree(place, ignore_errors=True)
        install = ("install", "-qq", "--disable-pip-version-check", f"snakemake=={SNAKEMAKE}")
        for line in ((sys.executable, "-m", "venv", place), (place / "bin/python", "-m", "pip", *install)):
            if code := subprocess.run(line, check=False).returncode:
                sys.exit(f"error: snakemake cannot be installed in {place}: {' '.join(map(str, line))}: exit {code}")
        ready.touch()
    return place / "bin"


def contest(ready: Callable[[Tool, int], Project], times: Mapping[Tool, int]) -> dict[Tool, Took]:
    """Run each program so many times, in turn with the others, and give its medians.

    Before its run with this number, `ready` prepares a program's repository; that is not counted.
    """
    took = {tool: list[Took]() for tool in times}
    for number in range(max(times.values())):
        for tool, most in times.items():
            if number < most:
                took[tool].append(tool.run(ready(tool, number)))
    return {tool: Took.typical(found) for tool, found in took.items()}
