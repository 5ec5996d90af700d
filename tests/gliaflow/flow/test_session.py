"""A run from the command line as a flow: what is seen of it, and how it is ended."""

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
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

import gliaflow
from gliaflow.core.graph import Stage
from gliaflow.core.ports import Lease, Run, Task
from gliaflow.flow import session
from tests.behaviour.test_kills import mine
from tests.support.patience import PATIENCE
from tests.support.repos import GLIAFLOW, Project, soon
from tests.support.team import unique

ONE = {"one": {"cmd": "echo hello from one; cp seed.txt one.txt", "deps": ["seed.txt"], "outs": ["one.txt"]}}
CANCEL = 0  # the number of no signal


class Nowhere:
    """Could send stages to other hosts, so that the run is a flow of its own; accepts none."""

    travels, ahead = True, 1

    def accepts(self, stage: Stage) -> bool:  # noqa: ARG002
        return False

    def check(self, stages: Sequence[Stage]) -> None:
        raise NotImplementedError

    def tries(self, stage: Stage) -> int:
        raise NotImplementedError

    def reserve(self, stage: Stage) -> Lease | None:
        raise NotImplementedError

    def holders(self, stage: Stage) -> str:
        raise NotImplementedError

    def launch(self, task: Task, lease: Lease) -> Run:
        raise NotImplementedError

    def close(self) -> None:
        """Nothing is open."""


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
    assert gliaflow.reproduce(project.root, executors=[Nowhere()]).reproduced == ["one"]
    (watcher,) = (thread for thread in threading.enumerate() if thread.name == session.WATCHER)
    ended.set()
    watcher.join(PATIENCE)
    assert looked.is_set()
    assert not watcher.is_alive()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGKILL, CANCEL])
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
    assert flow.returncode == {signal.SIGKILL: -number, CANCEL: 75}.get(number, 128 + number)
    if number == CANCEL:
        assert errors == "error: cancelled in Prefect; the next run carries on\n"
        assert client.read_flow_run(task.flow_run_id).state_name == "Cancelled"
    left = f"what '{name}' wrote may be half-written; the next run makes it anew"
    if number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
        assert errors == f"error: {how}; {left}\n"
        only = TaskRunFilter(name=TaskRunFilterName(any_=[name]))
        (task,) = soon(lambda: client.read_task_runs(task_run_filter=only))
        assert task.flow_run_id
        assert soon(lambda: client.read_flow_run(task.flow_run_id).state_name == "Cancelled")
    assert soon(lambda: not mine(project)), [psutil.Process(p.pid).cmdline() for p in mine(project)]
    project.pipeline({name: {"cmd": "touch o.txt", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    project.flow()
    project.clean()
