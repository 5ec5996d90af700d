"""SIGKILL of the flow, or of a process of a stage, at random moments: one more run ends as an unbroken one would have.

`GLIAFLOW_FLOW_KILLS` says how many, 12 by default.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import psutil
import pytest

from gliaflow.export.client import Client
from gliaflow.export.configured import Server
from gliaflow.export.exporter import Exporter
from gliaflow.journal.folder import BELOW, journals
from gliaflow.journal.reader import seen
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, reproduce
from tests.support.web import FakePrefect, web

pytestmark = pytest.mark.usefixtures("api")  # Prefect keeps these runs

KILLS = int(os.environ.get("GLIAFLOW_FLOW_KILLS", "12"))


def stage(name: str, *deps: str) -> dict[str, object]:
    """A little work, which says if it is done twice at once and fails if any process of it is killed."""
    command = (
        f"mkdir busy-{name} || {{ [ $? -eq 1 ] && echo {name} >> twice.log; exit 1; }}; "
        f"cat {' '.join(deps)} > {name}.txt && {{ (sleep 0.1; sleep 0.1) & wait $!; }} && "
        f"echo {name} >> {name}.txt && sleep 0.1 && rmdir busy-{name}"
    )
    return {"cmd": command, "deps": list(deps), "outs": [f"{name}.txt"]}


@pytest.fixture
def graph(project: Project) -> Project:
    """Seven stages."""
    project.write({"seed.txt": "1\n"})
    stages = {
        "a": stage("a", "seed.txt"),
        "b": stage("b", "seed.txt"),
        "c": stage("c", "a.txt"),
        "d": stage("d", "a.txt", "b.txt"),
        "e": stage("e", "b.txt"),
        "f": stage("f", "c.txt", "d.txt"),
        "g": stage("g", "e.txt"),
    }
    project.pipeline(stages)
    project.commit()
    return project


def mine(project: Project) -> list[psutil.Process]:
    """All processes that the project's flows started and that run now."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("GLIAFLOW_SLOTS") == project.environment["GLIAFLOW_SLOTS"]
            if ours and process.pid != os.getpid() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def forget(project: Project) -> None:
    """As before the first run."""
    shutil.rmtree(project.root / ".dvc/cache", ignore_errors=True)
    for path in [*project.root.glob("*.txt"), *project.root.glob("busy-*"), project.root / "dvc.lock"]:
        if path.is_dir():
            path.rmdir()
        elif path.name != "seed.txt":
            path.unlink(missing_ok=True)


def test_killed_at_any_moment(graph: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GLIAFLOW_SLOTS")  # the flow here must not be taken for one of those that are killed
    reproduce(graph.root)
    expected, draw, hit = graph.left(), random.Random(777), 0
    line = [*GLIAFLOW, "repro", "--jobs", "2"]
    for number in range(KILLS):
        forget(graph)
        with subprocess.Popen(line, cwd=graph.root, env=graph.environment, stdout=subprocess.PIPE, text=True) as flow:
            assert flow.stdout
            flow.stdout.readline()  # the first stage runs
            time.sleep(draw.uniform(0, 2.5))
            running = [p for p in mine(graph) if p.pid != flow.pid]
            victim = draw.choice(running).pid if running and number % 2 else flow.pid
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
            if number % 2:
                flow.stdout.read()
        hit += flow.returncode != 0
        deadline = time.monotonic() + PATIENCE
        while mine(graph) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert mine(graph) == [], f"kill {number}"
        states = [seen(path).state for path in journals(graph.root / BELOW)]
        assert "running" not in states, f"kill {number}"
        if flow.returncode == -signal.SIGKILL and states:  # it may not have begun when it was killed
            assert states[-1] in ("crashed", "completed"), f"kill {number}"
        for path in graph.root.glob("busy-*"):
            path.rmdir()  # of a stage that was killed
        reproduce(graph.root)
        left = graph.left()
        assert left["dvc.lock"] == expected["dvc.lock"], f"kill {number}"
        assert left[".gitignore"] == expected[".gitignore"], f"kill {number}"
        assert not (graph.root / "twice.log").exists(), f"kill {number}"
        assert reproduce(graph.root) == []
    assert hit > KILLS / 3
    graph.clean()
    assert ends(graph) <= {"COMPLETED", "FAILED", "CRASHED"}


def ends(project: Project) -> set[str]:
    """How runs end on a server that is told of all of them."""
    prefect, found = FakePrefect(), set[str]()
    with web(prefect.answer) as server, Client(Server(server.url), {}) as client:
        for path in journals(project.root / BELOW):
            with Exporter(client, path, "anew") as exporter:
                exporter.advance()
                assert exporter.done
            found.add(prefect.state)
    return found
