"""Stages on a real Slurm: what a job costs, and what short stages gain when they share jobs.

    python -m benchmarks.slurm [STAGES]

A Slurm of one node with four CPUs is started, with Slurm's own times of scheduling. It needs root, and what `make
servers` installs. Prompt to prompt, in one run:

1. One stage on the idle cluster beside the same on this host, in turns: the median of the differences, at most 2 s.
2. STAGES stages of one second, 200 by default, a job each and with `pack = "20m"`: at most a fifth of the jobs, and a
   third of the time. Once without memory in the profile, when each job has the node for itself, as is Slurm's default;
   and once with little, when four jobs run at once. Then no order of work can be below the time that the stages
   themselves take on four CPUs, which is printed too.
"""

import os
import shutil
import sys
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from tests.support.repos import Project, environment
from tests.support.slurm import CPUS, Slurm, slurm

STAGES, TURNS = 200, 5
JOBS_BAR, TIME_BAR, MORE_SECONDS = 1 / 5, 1 / 3, 2.0
PACK = 'pack = "20m"\n'
DELAY = {"SchedulerParameters": "batch_sched_delay=3"}  # Slurm's own; the tests' cluster does without


def main() -> None:
    """Measure both; exit code 1 if a bar is missed."""
    number = int(sys.argv[1]) if sys.argv[1:] else STAGES
    with TemporaryDirectory() as folder, slurm(Path(folder), **DELAY) as cluster:
        missed = [one_stage(Path(folder), cluster)]
        for mem in ("", 'mem = "10M"\n'):
            missed.append(many(Path(folder), cluster, mem, number))
    sys.exit(any(missed))


def one_stage(folder: Path, cluster: Slurm) -> bool:
    """Print what a job costs; whether the bar is missed."""
    more = []
    for _ in range(TURNS):
        here, _ = ran(folder, cluster, 1, None)
        there, _ = ran(folder, cluster, 1, "")
        more.append(there - here)
    print(f"one stage: {median(more):+.2f} s as a job ({min(more):+.2f} to {max(more):+.2f})", end="; ")
    return judged(median(more), MORE_SECONDS)


def many(folder: Path, cluster: Slurm, mem: str, number: int) -> bool:
    """Print what sharing jobs gains; whether a bar is missed."""
    alone, jobs = ran(folder, cluster, number, mem)
    packed, fewer = ran(folder, cluster, number, mem + PACK)
    how = "four jobs at once" if mem else "a job at a time"
    print(f"{number} stages of 1 s, {how}: {jobs} jobs in {alone:.1f} s, packed {fewer} in {packed:.1f} s")
    print(f"  the stages themselves take {number / CPUS:.0f} s on {CPUS} CPUs")
    print(f"  jobs {fewer / jobs:.3f}", end="; ")
    missed = judged(fewer / jobs, JOBS_BAR)
    print(f"  time {packed / alone:.3f}", end="; ")
    return judged(packed / alone, TIME_BAR) or missed


def judged(found: float, bar: float) -> bool:
    """Print the bar; whether it is missed."""
    print(f"bar {bar:.3g}: {'missed' if found > bar else 'ok'}", flush=True)
    return found > bar


def ran(folder: Path, cluster: Slurm, number: int, profile: str | None) -> tuple[float, int]:
    """The seconds that these stages take by a profile, or on this host without any, and how many jobs there were."""
    root = folder / "repo"
    shutil.rmtree(root, ignore_errors=True)
    project = Project(root.resolve(), {**environment(folder), **cluster.environment})
    project.write({".gliaflow/slurm.toml": profile or ""})
    seconds = 1 if number > 1 else 0
    project.pipeline({f"s{n}": {"cmd": f"sleep {seconds}; echo {n} > o{n}", "outs": [f"o{n}"]} for n in range(number)})
    began = time.monotonic()
    project.gliaflow("repro", "--no-prefect", *([] if profile is None else ["--slurm"]))
    took = time.monotonic() - began
    ids = {path.read_text() for path in (root / ".dvc/tmp/gliaflow/slurm").glob("*/*/id")}
    return took, len(ids)


if __name__ == "__main__":
    os.environ.setdefault("CI", "true")  # what is missing is an error, and no reason to leave something out
    main()
