"""Stages as jobs of a real Slurm: the bytes of a local run, limits that reach the job, and what survives a kill.

`GLIAFLOW_SLURM_KILLS` says how many kills at random moments, 8 by default.
"""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project
from tests.support.slurm import Slurm, slurm

pytestmark = pytest.mark.server
KILLS = int(os.environ.get("GLIAFLOW_SLURM_KILLS", "8"))
SEED = 20261128
ON_SLURM = ("repro", "--slurm")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """One for all tests of this file."""
    with slurm(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture
def graph(project: Project, cluster: Slurm) -> Project:
    """Seven stages, each of which notes that it began."""
    project.environment = {**project.environment, **cluster.environment}
    project.write({"seed.txt": "1\n", ".gliaflow/slurm.toml": 'mem = "100M"\n'})
    deps = {"a": ["seed.txt"], "b": ["seed.txt"], "c": ["a"], "d": ["a", "b"], "e": ["b"], "f": ["c", "d"], "g": ["e"]}
    stages = {
        name: {
            "cmd": f"echo {name} >> begun.log; cat {' '.join(files)} > {name}; sleep 0.3; echo {name} >> {name}",
            "deps": files,
            "outs": [name],
        }
        for name, files in deps.items()
    }
    project.pipeline(stages)
    project.commit()
    return project


@pytest.fixture
def unbroken(graph: Project, tmp_path: Path) -> dict[str, bytes]:
    """What a local run of the seven stages leaves."""
    here = graph.copy(tmp_path / "here")
    here.gliaflow("repro", "--no-prefect")
    return here.left()


def begun(project: Project) -> list[str]:
    """The stages whose commands began, in that order."""
    with suppress(FileNotFoundError):
        return (project.root / "begun.log").read_text().split()
    return []


def jobs(cluster: Slurm) -> list[str]:
    """Those that are not over."""
    return cluster.ask("squeue", "--noheader", "--format=%i").split()


def eventually(what: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def started(project: Project) -> "subprocess.Popen[bytes]":
    """A run on the cluster that goes on."""
    quiet = subprocess.DEVNULL
    line = [*GLIAFLOW, *ON_SLURM, "--no-prefect"]
    return subprocess.Popen(line, cwd=project.root, env=project.environment, stdout=quiet, stderr=quiet)


def test_jobs_leave_the_bytes_of_a_local_run(graph: Project, cluster: Slurm, unbroken: dict[str, bytes]) -> None:
    told = graph.gliaflow(*ON_SLURM, "--no-prefect").stdout
    assert graph.left() == unbroken
    assert sorted(begun(graph)) == list("abcdefg")
    assert "7 ran" in told
    graph.clean()
    assert jobs(cluster) == []


def test_what_a_stage_asks_for_reaches_its_job(project: Project, cluster: Slurm) -> None:
    project.environment = {**project.environment, **cluster.environment}
    shown = "scontrol show job $SLURM_JOB_ID > shown; echo $OMP_NUM_THREADS $DVC_STAGE > known"
    meta = {"cpus": 2, "mem": "300M", "timeout": 600, "threads": 3}
    project.pipeline({"s": {"cmd": shown, "outs": ["shown", "known"], "meta": meta}})
    project.gliaflow(*ON_SLURM, "--no-prefect")
    text = (project.root / "shown").read_text()
    assert re.search(r"CPUs/Task=2\b", text)
    assert re.search(r"MinMemoryNode=300M\b", text)
    assert re.search(r"TimeLimit=00:12:00\b", text)  # the timeout, the grace, and a minute before the signal
    assert re.search(r"Requeue=0\b", text)
    assert (project.root / "known").read_text() == "3 s\n"


def test_a_stage_that_fails_tells_its_lines_and_is_tried_again(project: Project, cluster: Slurm) -> None:
    project.environment = {**project.environment, **cluster.environment}
    line = "echo try >> tries; echo to be seen; exit 75"
    project.pipeline({"s": {"cmd": line, "meta": {"retries": 1, "retry_delay": 0, "mem": "100M"}}})
    ended = project.gliaflow(*ON_SLURM, "--no-prefect", expect=1)
    assert (project.root / "tries").read_text() == "try\ntry\n"
    assert "s | to be seen" in ended.stdout
    assert "exited with 75" in ended.stderr


def test_a_timeout_is_that_of_a_local_run(project: Project, cluster: Slurm) -> None:
    project.environment = {**project.environment, **cluster.environment}
    project.pipeline({"s": {"cmd": "sleep 600", "meta": {"timeout": 1, "mem": "100M"}}})
    assert "longer than its timeout of 1 s" in project.gliaflow(*ON_SLURM, "--no-prefect", expect=1).stderr


def test_what_slurm_refuses_is_one_line_with_stage_and_key(project: Project, cluster: Slurm) -> None:
    project.environment = {**project.environment, **cluster.environment}
    project.write({".gliaflow/slurm.toml": 'partition = "none"\n'})
    project.pipeline({"train": {"cmd": "true"}})
    ended = project.gliaflow(*ON_SLURM, "--no-prefect", expect=None)
    assert ended.returncode != 0
    (line,) = [line for line in ended.stderr.splitlines() if "Slurm refuses" in line]
    assert "'train'" in line
    assert "partition" in line


def test_a_job_that_somebody_cancels_fails_its_stage_and_the_next_run_ends_well(
    graph: Project, cluster: Slurm, unbroken: dict[str, bytes]
) -> None:
    run = started(graph)
    eventually(lambda: begun(graph))
    cluster.ask("scancel", *jobs(cluster))
    assert run.wait(PATIENCE) != 0
    graph.gliaflow(*ON_SLURM, "--no-prefect")
    assert graph.left() == unbroken
    assert jobs(cluster) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_a_run_ends_its_jobs(graph: Project, cluster: Slurm, number: signal.Signals) -> None:
    run = started(graph)
    eventually(lambda: begun(graph))
    run.send_signal(number)
    assert run.wait(PATIENCE) != 0
    eventually(lambda: not jobs(cluster))
    graph.gliaflow(*ON_SLURM, "--no-prefect")
    graph.clean()


def test_after_a_kill_the_next_run_takes_jobs_over_and_repeats_nothing(
    graph: Project, cluster: Slurm, unbroken: dict[str, bytes]
) -> None:
    run = started(graph)
    eventually(lambda: begun(graph))
    run.kill()
    run.wait()
    ended = graph.gliaflow(*ON_SLURM, "--no-prefect")
    assert "of an earlier run" in ended.stdout
    assert graph.left() == unbroken
    assert sorted(begun(graph)) == list("abcdefg")
    assert jobs(cluster) == []


def test_a_job_of_a_stage_that_changed_is_cancelled(project: Project, cluster: Slurm) -> None:
    project.environment = {**project.environment, **cluster.environment}
    meta = {"mem": "100M"}
    project.pipeline({"s": {"cmd": "echo old >> begun.log; sleep 600; echo old > out", "outs": ["out"], "meta": meta}})
    run = started(project)
    eventually(lambda: begun(project))
    run.kill()
    run.wait()
    project.pipeline({"s": {"cmd": "echo new > out", "outs": ["out"], "meta": meta}})
    project.gliaflow(*ON_SLURM, "--no-prefect")
    assert (project.root / "out").read_text() == "new\n"
    assert jobs(cluster) == []


def strike(how: str, root: Path, run: "subprocess.Popen[bytes]", cluster: Slurm, draw: random.Random) -> None:
    """Do what may happen to a run in the repository `root`."""
    if how == "flow":
        run.kill()
    elif how == "scancel":
        if listed := jobs(cluster):
            cluster.ask("scancel", draw.choice(listed))
    else:
        for process in psutil.process_iter(["cmdline"]):
            line = " ".join(process.info["cmdline"] or [])
            if "gliaflow.slurm.wrapper" in line and str(root) in line:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
                    return


def test_after_any_kill_one_more_run_ends_as_an_unbroken_one(
    graph: Project, cluster: Slurm, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    draw = random.Random(SEED)
    for number in range(KILLS):
        one = graph.copy(tmp_path / f"kill-{number}")
        run = started(one)
        time.sleep(draw.uniform(0.5, 8.0))
        how = draw.choice(["flow", "flow", "scancel", "job"])
        strike(how, one.root, run, cluster, draw)
        if how == "flow":
            run.wait()
        else:
            run.wait(PATIENCE)
        one.gliaflow(*ON_SLURM, "--no-prefect")
        assert one.left() == unbroken, (number, how)
        assert jobs(cluster) == [], (number, how)
        if how == "flow":
            assert sorted(begun(one)) == list("abcdefg"), (number, how)
