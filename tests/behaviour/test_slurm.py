"""Stages as jobs of a real Slurm: the bytes of a local run, limits that reach the job, and what survives a kill.

`GLIAFLOW_SLURM_KILLS` says how many kills at random moments, 8 by default, and `GLIAFLOW_SLURM_AWAY` for how many
seconds slurmctld is away.
"""

import os
import random
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.support.patience import PATIENCE
from tests.support.programs import installed
from tests.support.repos import GLIAFLOW, Project
from tests.support.slurm import Slurm, slurm

pytestmark = pytest.mark.server
KILLS = int(os.environ.get("GLIAFLOW_SLURM_KILLS", "8"))
SEED = 20261128
AWAY_SECONDS = float(os.environ.get("GLIAFLOW_SLURM_AWAY", "6"))
RESTART_SECONDS = 2.0  # of slurmd; for what it loses in longer, Slurm itself waits for minutes
ON_SLURM = ("repro", "--slurm")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slurm]:
    """One for all tests of this file."""
    with slurm(tmp_path_factory.mktemp("slurm")) as made:
        yield made


@pytest.fixture
def graph(project: Project, cluster: Slurm) -> Project:
    """Seven stages, each of which notes that it began, and waits while there is a file called `hold`."""
    project.environment = {**project.environment, **cluster.environment}
    project.write({"seed.txt": "1\n", ".gliaflow/slurm.toml": 'mem = "100M"\n'})
    deps = {"a": ["seed.txt"], "b": ["seed.txt"], "c": ["a"], "d": ["a", "b"], "e": ["b"], "f": ["c", "d"], "g": ["e"]}
    hold = "while [ -e hold ]; do sleep 0.1; done; sleep 0.8"
    stages = {
        name: {
            "cmd": f"echo {name} >> begun.log; cat {' '.join(files)} > {name}; {hold}; echo {name} >> {name}",
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


def held(project: Project) -> "subprocess.Popen[bytes]":
    """A run whose first stages have begun and wait, until they are let go."""
    project.write({"hold": ""})
    run = started(project)
    eventually(lambda: sorted(begun(project)) == ["a", "b"])
    return run


def let_go(project: Project) -> None:
    """Let stages end."""
    (project.root / "hold").unlink()


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
    run = held(graph)
    cluster.ask("scancel", *jobs(cluster))
    assert run.wait(PATIENCE) != 0
    let_go(graph)
    graph.gliaflow(*ON_SLURM, "--no-prefect")
    assert graph.left() == unbroken
    assert jobs(cluster) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_who_ends_a_run_ends_its_jobs(graph: Project, cluster: Slurm, number: signal.Signals) -> None:
    run = held(graph)
    run.send_signal(number)
    assert run.wait(PATIENCE) != 0
    eventually(lambda: not jobs(cluster))
    let_go(graph)
    graph.gliaflow(*ON_SLURM, "--no-prefect")
    graph.clean()


@pytest.mark.parametrize("pack", ["", 'pack = "20m"\n'])
def test_after_a_kill_the_next_run_takes_jobs_over_and_repeats_nothing(
    graph: Project, cluster: Slurm, unbroken: dict[str, bytes], pack: str
) -> None:
    graph.write({".gliaflow/slurm.toml": f'mem = "100M"\n{pack}'})
    run = held(graph)
    run.kill()
    run.wait()
    let_go(graph)
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


def sixty() -> dict[str, object]:
    """A graph of sixty stages, drawn once: each reads up to three of the ten before it."""
    draw, stages = random.Random(SEED), dict[str, object]()
    for number in range(60):
        above = sorted(draw.sample(range(max(0, number - 10), number), min(number, draw.randrange(4))))
        files = [f"o{one}" for one in above] or ["seed.txt"]
        line = f"cat {' '.join(files)} | md5sum > o{number}; echo {number} >> o{number}"
        stages[f"s{number}"] = {"cmd": line, "deps": files, "outs": [f"o{number}"]}
    return stages


@pytest.mark.parametrize("pack", ["", 'pack = "20m"\n'])
def test_sixty_stages_leave_the_bytes_of_a_local_run_and_ask_slurm_seldom(
    project: Project, cluster: Slurm, tmp_path: Path, pack: str
) -> None:
    """Also with an `sbatch` that prints a banner, and a `squeue` that fails every third time."""
    project.write({"seed.txt": "1\n", ".gliaflow/slurm.toml": f'mem = "10M"\n{pack}'})
    project.pipeline(sixty())
    here = project.copy(tmp_path / "here")
    here.gliaflow("repro", "--no-prefect")
    counts = tmp_path / "counts"
    counts.mkdir()
    for name, before in (
        ("sbatch", "echo '*** 3 nodes are down ***'"),
        ("squeue", f"[ $(($(wc -l < {counts}/squeue.calls) % 3)) = 0 ] && exit 1"),
    ):
        program = counts / name
        program.write_text(f'#!/bin/sh\ndate +%s.%N >> {program}.calls\n{before}\nexec {installed(name)} "$@"\n')
        program.chmod(0o755)
    path = f"{counts}:{project.environment['PATH']}"
    project.environment = {**project.environment, **cluster.environment, "PATH": path}
    assert "60 ran" in project.gliaflow(*ON_SLURM, "--no-prefect").stdout
    assert project.left() == here.left()
    submitted = len((counts / "sbatch.calls").read_text().split())
    assert submitted < 60 if pack else submitted == 60
    looks = [*map(float, (counts / "squeue.calls").read_text().split())]
    assert all(later - earlier > 1.9 for earlier, later in pairwise(looks))
    assert jobs(cluster) == []


def test_the_scripts_are_shown_before_anything_runs(project: Project, cluster: Slurm, tmp_path: Path) -> None:
    """Slurm takes them as they are."""
    project.environment = {**project.environment, **cluster.environment}
    project.write({".gliaflow/slurm.toml": 'default = true\nmem = "50M"\n', "sub/x": ""})
    project.pipeline({"s": {"cmd": "echo x > out", "outs": ["out"], "wdir": "sub", "meta": {"cpus": 2, "timeout": 60}}})
    shown = project.gliaflow("repro", "--dry").stdout
    head, _, script = shown.partition("\n")
    assert head == "s: to run: it is in no dvc.lock yet"
    assert "#SBATCH --cpus-per-task=2" in script
    assert f"#SBATCH --chdir={project.root / 'sub'}" in script
    path = tmp_path / "script.sh"
    path.write_text(script)
    tried = {**os.environ, **cluster.environment}
    subprocess.run(["sbatch", "--test-only", str(path)], env=tried, check=True, capture_output=True)
    assert "#SBATCH" not in project.gliaflow("repro", "--dry", "--no-slurm").stdout
    assert jobs(cluster) == []


def strike(how: str, root: Path, run: "subprocess.Popen[bytes]", cluster: Slurm, draw: random.Random) -> None:
    """Do what may happen to a run in the repository `root`; where there is nothing to strike yet, wait for it."""
    if how == "flow":
        run.kill()
    elif how == "scancel":
        eventually(lambda: jobs(cluster) or run.poll() is not None)
        with suppress(subprocess.CalledProcessError, IndexError):  # it may be over by now
            cluster.ask("scancel", draw.choice(jobs(cluster)))
    elif how == "job":
        eventually(lambda: processes(root) or run.poll() is not None)
        with suppress(psutil.NoSuchProcess, IndexError):
            draw.choice(processes(root)).kill()
    else:
        cluster.end(how)
        time.sleep(AWAY_SECONDS if how == "slurmctld" else RESTART_SECONDS)
        cluster.start(how)


def processes(root: Path) -> list[psutil.Process]:
    """Those of the jobs of a repository: wrappers, and what they started."""
    found = []
    for process in psutil.process_iter(["cmdline", "cwd"]):
        line = " ".join(process.info["cmdline"] or [])
        if (process.info["cwd"] or "").startswith(str(root)) and "repro" not in line:
            found.append(process)
    return found


@pytest.mark.timeout(600 + 200 * KILLS)
def test_after_any_kill_one_more_run_ends_as_an_unbroken_one(
    graph: Project, cluster: Slurm, unbroken: dict[str, bytes], tmp_path: Path
) -> None:
    """What began again beside what was struck is counted: nothing may."""
    draw, counts = random.Random(SEED), Counter[str]()
    for number in range(KILLS):
        how = ("flow", "slurmd", "job", "slurmctld", "scancel", "flow")[number % 6]
        one = graph.copy(tmp_path / f"kill-{number}")
        one.write({".gliaflow/slurm.toml": 'mem = "100M"\n' + 'pack = "20m"\n' * draw.randrange(2)})
        run = started(one)
        time.sleep(draw.uniform(0.5, 5.0))
        strike(how, one.root, run, cluster, draw)
        code = run.wait(None if how == "flow" else 3 * PATIENCE)  # a job that slurmd lost waits two minutes in Slurm
        before = Counter(begun(one))
        one.gliaflow(*ON_SLURM, "--no-prefect")
        assert one.left() == unbroken, (number, how)
        assert jobs(cluster) == [], (number, how)
        eventually(lambda: not processes(one.root), 15)  # noqa: B023 - asked at once
        again = sum(Counter(begun(one)).values()) - len("abcdefg")
        counts[how] += 1
        counts[f"{how}: failed"] += code != 0
        counts[f"{how}: begun again"] += again
        if how in ("flow", "slurmctld"):
            assert again == 0, (number, how, before, begun(one))
    print(dict(counts))
