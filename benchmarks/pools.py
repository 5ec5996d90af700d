"""A stage sent to a warm worker on this machine beside the same stage run here: the overhead, and its parts.

    python -m benchmarks.pools

Server (on PostgreSQL), git remote, DVC remote and worker are on this machine, so that one clock times all parts; the
worker looks for runs as often as `gliaflow worker` has it. Times are medians, and leave out the start of `gliaflow`,
which both have.
"""

import re
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId
from rich.console import Console
from rich.table import Table

from gliaflow.team.worker import DEFAULTS
from tests.support.repos import GLIAFLOW, Project
from tests.support.servers import postgres
from tests.support.team import Team, team

RUNS = 5
MEGABYTES = (0, 64)  # that the stage reads, and that it writes
WORK_SECONDS = 2.0
PARTS = (
    "here: what it reads and its commit sent",
    "waiting for the worker to look",
    "there: engine started, Prefect and DVC imported",
    "there: commit checked out, what it reads restored",
    "the stage",
    "there: outputs hashed, cached and sent",
    "here: noticed, fetched, checked out and recorded",
)


def pipeline(project: Project, megabytes: int, number: int, pool: bool) -> str:
    """A stage that reads and writes so much, different for each number; its name."""
    name = f"s{megabytes}-{number}-{'pool' if pool else 'here'}"
    command = f"sleep {WORK_SECONDS}; cp in.bin out.bin; echo {name} >> out.bin"
    stage: dict[str, Any] = {"cmd": command, "deps": ["in.bin"], "outs": ["out.bin"]}
    source = {"cmd": f"head -c {megabytes}M /dev/urandom > in.bin; echo {name} >> in.bin", "outs": ["in.bin"]}
    source |= {"deps": ["seed.txt"]}
    project.write({"seed.txt": f"{name}\n"})
    project.pipeline({"source": source, name: stage | ({"meta": {"pool": "gpu"}} if pool else {})})
    project.flow("source")
    project.commit()
    return name


def timed(project: Project, name: str) -> dict[str, float]:
    """When, by the wall, the stage was begun and ended here; and when it was sent, if it was."""
    line = [
        *GLIAFLOW,
        "repro",
        "--pools",
        "--single-item",
        "--repo",
        str(project.root),
        name,
    ]
    stamps: dict[str, float] = {}
    with subprocess.Popen(line, cwd=project.root, env=project.environment, stdout=subprocess.PIPE, text=True) as flow:
        assert flow.stdout
        for text in flow.stdout:
            if f"{name} > " in text:
                stamps["sent"] = time.time()
            elif found := re.match(rf"{name}: ran in ([\d.]+) s", text):
                stamps["ended"] = time.time()
                stamps["began"] = stamps["ended"] - float(found[1])
    assert flow.returncode == 0
    return stamps


def parts(crew: Team, name: str, here: dict[str, float]) -> list[float]:
    """How long each of PARTS took."""
    with crew.client() as client:
        (run,) = crew.runs(name)
        states = {state.name: state.timestamp.timestamp() for state in client.read_flow_run_states(run.id)}
        (task,) = client.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run.id])))
        assert task.start_time
        began = task.start_time.timestamp()
    stage = began + WORK_SECONDS
    marks = [here["began"], here["sent"], states["Pending"], states["Running"], began, stage]
    marks += [states["Completed"], here["ended"]]
    return [after - before for before, after in pairwise(marks)]


def main() -> None:
    """Print a table for each size."""
    console = Console(highlight=False)
    with TemporaryDirectory() as name, postgres(Path(name)) as database, team(Path(name), database) as crew:
        crew.join("host", **DEFAULTS)
        project = crew.project(Path(name) / "project")
        for megabytes in MEGABYTES:
            here, there, found = [], [], []
            for number in range(RUNS):
                stamps = timed(project, pipeline(project, megabytes, number, pool=False))
                here.append(stamps["ended"] - stamps["began"])
                sent = pipeline(project, megabytes, number, pool=True)
                stamps = timed(project, sent)
                there.append(stamps["ended"] - stamps["began"])
                found.append(parts(crew, sent, stamps))
            ours, peer = median(there), median(here)
            table = Table("part", "seconds", title=f"A stage of {WORK_SECONDS:g} s on {megabytes} MB in and out")
            for what, seconds in zip(PARTS, zip(*found, strict=True), strict=True):
                table.add_row(what, f"{median(seconds):.2f}")
            table.add_section()
            table.add_row("in the pool", f"{ours:.2f}")
            table.add_row("here, by the same flow", f"{peer:.2f}")
            table.add_row("overhead", f"{ours - peer:.2f}")
            table.add_row("ratio", f"{ours / peer:.2f}")
            console.print(table)


if __name__ == "__main__":
    main()
