"""A run from the command line as a flow: what is seen of it, and how it is ended."""

import os
import signal
import subprocess
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    TaskRunFilter,
    TaskRunFilterName,
)
from prefect.settings import temporary_settings
from prefect.states import Cancelling

from gliaflow.flow import session
from tests.behaviour.test_kills import mine
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, reproduce, soon
from tests.support.team import unique

ONE = {"one": {"cmd": "echo hello from one; cp seed.txt one.txt", "deps": ["seed.txt"], "outs": ["one.txt"]}}
CANCEL = 0  # the number of no signal


def test_a_flow_that_ends_before_its_watcher_looks_leaves_no_error(
    project: Project, api: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api
    looked = threading.Event()

    def late(*values: Any) -> Any:
        if threading.current_thread().name == session.WATCHER:
            assert ended.wait(PATIENCE)
            looked.set()
        return temporary_settings(*values)

    ended = threading.Event()
    monkeypatch.setattr(session, "temporary_settings", late)
    project.write({"seed.txt": "1\n"})
    project.pipeline(ONE)
    assert reproduce(project.root) == ["one"]
    (watcher,) = (thread for thread in threading.enumerate() if thread.name == session.WATCHER)
    ended.set()
    watcher.join(PATIENCE)
    assert looked.is_set()
    assert not watcher.is_alive()


@pytest.mark.server
def test_the_console_shows_the_stages_and_nothing_of_the_server(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(ONE)
    project.environment["PREFECT_HOME"] = str(tmp_path / "prefect")
    ended = project.gliaflow("repro")  # on a server that it starts for itself
    assert ended.stderr == ""
    assert [line.split(" in ")[0] for line in ended.stdout.splitlines()] == [
        "starting a Prefect server to keep this run; --no-prefect goes without",
        "one > echo hello from one; cp seed.txt one.txt",
        "one | hello from one",
        "one: ran",
        "1 ran",
    ]
    assert (tmp_path / "prefect/gliaflow/server.log").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL, CANCEL])
def test_whatever_ends_the_flow_ends_its_stages(project: Project, client: SyncPrefectClient, number: int) -> None:
    project.write({"seed.txt": "1\n"})
    command, name = "(setsid sleep 1294 &) ; test -e seed.txt && touch begun; sleep 1293", unique("long")
    project.pipeline({name: {"cmd": command, "deps": ["seed.txt"], "outs": ["o.txt"]}})
    line = [*GLIAFLOW, "repro"]
    with subprocess.Popen(
        line, cwd=project.root, env=project.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as flow:
        assert soon(lambda: (project.root / "begun").exists())
        if number == CANCEL:
            only = TaskRunFilter(name=TaskRunFilterName(any_=[name]))
            (task,) = soon(lambda: client.read_task_runs(task_run_filter=only))
            assert task.flow_run_id
            client.set_flow_run_state(task.flow_run_id, Cancelling())
        else:
            os.kill(flow.pid, number)
        _, errors = flow.communicate(timeout=PATIENCE)
    assert flow.returncode == {signal.SIGINT: 130, CANCEL: 75}.get(number, -number)
    if number == CANCEL:
        assert errors == "error: cancelled in Prefect; the next run carries on\n"
        assert client.read_flow_run(task.flow_run_id).state_name == "Cancelled"
    if number == signal.SIGINT:
        assert errors == "error: interrupted; nothing half-written was left\n"
    assert soon(lambda: not mine(project)), [psutil.Process(p.pid).cmdline() for p in mine(project)]
    project.pipeline({name: {"cmd": "touch o.txt", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    project.flow()
    project.clean()
