"""A search whose workers, or which itself, is killed at random moments: it ends as one that nobody disturbs.

`GLIAFLOW_SEARCH_KILLS` says how many workers are killed, 8 by default.
"""

import json
import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress

import psutil
import pytest

from tests.behaviour.test_kills import mine
from tests.gliaflow.experiments.search.searched import facts, line, search, searched, trained
from tests.support.patience import COMMAND_SECONDS, PATIENCE
from tests.support.repos import GLIAFLOW, Project, soon

KILLS = int(os.environ.get("GLIAFLOW_SEARCH_KILLS", "8"))
SIZE = {"population": 10, "generations": 4}
FLAGS = ("--no-experiment", "--rung", "2", "-j", "2")


@pytest.fixture
def ready(project: Project) -> Project:
    """Epochs of 50 ms."""
    return searched(project, sleep=0.05)


def started(project: Project) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [*GLIAFLOW, *line("--json", *FLAGS, **SIZE)],
        cwd=project.root,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def workers(process: psutil.Process) -> list[psutil.Process]:
    """Those of a search that run now."""
    with suppress(psutil.Error):
        return [one for one in process.children() if any("worker.py" in part for part in one.cmdline())]
    return []


def test_workers_are_killed_at_random_moments_and_nothing_is_lost(ready: Project) -> None:
    undisturbed = ready.copy(ready.root.parent / "twin" / "project")
    undisturbed.environment = {**ready.environment, "TRAINED": str(ready.root.parent / "twin.log")}
    expected = search(undisturbed, *FLAGS, **SIZE)
    generator, process, kills = random.Random(5), started(ready), 0
    until = time.monotonic() + PATIENCE
    while process.poll() is None and kills < KILLS and time.monotonic() < until:
        time.sleep(generator.uniform(0.1, 0.6))
        if running := workers(psutil.Process(process.pid)):
            with suppress(psutil.Error):
                generator.choice(running).send_signal(signal.SIGKILL)
                kills += 1
    output, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 0, errors
    told = json.loads(output)
    assert facts(told) == facts(expected)
    assert kills
    assert 0 < told["replaced"] <= kills
    assert soon(lambda: not mine(ready)), "processes are left"


def test_the_search_is_killed_and_goes_on(ready: Project) -> None:
    undisturbed = ready.copy(ready.root.parent / "twin" / "project")
    undisturbed.environment = {**ready.environment, "TRAINED": str(ready.root.parent / "twin.log")}
    expected = search(undisturbed, *FLAGS, **SIZE)
    generator = random.Random(6)
    for _ in range(3):
        process = started(ready)
        time.sleep(generator.uniform(1.5, 3.0))
        process.kill()
        process.communicate()
        assert soon(lambda: not mine(ready)), "processes are left"
    told = search(ready, *FLAGS, **SIZE)
    assert facts(told) == facts(expected)
    epochs = Counter((x, n, epoch) for x, n, epoch, _ in trained(ready))
    assert sum(epochs.values()) - len(epochs) <= 3 * 2 * 4  # what two workers were at when they were killed


def test_interrupted_it_says_so_and_leaves_no_process(ready: Project) -> None:
    process = started(ready)
    assert soon(lambda: workers(psutil.Process(process.pid)))
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=COMMAND_SECONDS)
    assert process.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted; the same command goes on where this one ended"
    assert soon(lambda: not mine(ready)), "processes are left"
