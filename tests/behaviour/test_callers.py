"""The functions of the package work for whoever calls them: a notebook, a flow of any sort, a thread, twice."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.context import FlowRunContext

import gliaflow
from gliaflow.core.report import Event, Message
from tests.support.patience import PATIENCE
from tests.support.repos import Project, soon

STAGES = {"one": {"cmd": "cp seed.txt one.txt", "deps": ["seed.txt"], "outs": ["one.txt"]}}


def made(project: Project) -> Project:
    project.write({"seed.txt": "1\n"})
    project.pipeline(STAGES)
    return project


def test_where_an_event_loop_runs_as_in_a_notebook(project: Project) -> None:
    made(project)

    async def cell() -> list[str]:
        return gliaflow.reproduce(project.root).reproduced

    assert asyncio.run(cell()) == ["one"]
    project.clean()


def kept(flow_run: Any) -> tuple[list[str], list[str | None]]:
    """The names of the task runs of a flow run, and the keys of its artifacts."""
    with get_client(sync_client=True) as client:
        only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run]))
        tasks = soon(lambda: client.read_task_runs(flow_run_filter=only))
        its_own = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run]))
        return [task.name for task in tasks], [one.key for one in client.read_artifacts(artifact_filter=its_own)]


@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket:pytest.PytestUnraisableExceptionWarning")  # Prefect's
def test_in_an_async_flow_stages_are_tasks_and_tables_are_there(project: Project, api: str) -> None:
    assert api
    made(project)
    runs: list[Any] = []

    @flow
    async def mine() -> list[str]:
        context: Any = FlowRunContext.get()
        runs.append(context.flow_run.id)
        return gliaflow.reproduce(project.root).reproduced

    assert asyncio.run(mine()) == ["one"]
    assert kept(runs[0]) == (["one"], ["stages"])


def test_in_a_flow_stages_are_tasks_of_it(project: Project, api: str) -> None:
    assert api
    made(project)
    runs: list[Any] = []

    @flow
    def mine() -> list[str]:
        context: Any = FlowRunContext.get()
        runs.append(context.flow_run.id)
        return gliaflow.reproduce(project.root).reproduced

    assert mine() == ["one"]
    assert kept(runs[0]) == (["one"], ["stages"])


def test_from_any_thread_twice_and_in_two_repositories(new_project: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = made(new_project("a")), made(new_project("b"))
    monkeypatch.chdir(first.root.parent)
    found: list[list[str]] = []

    def work() -> None:
        for root in ("a", "b", first.root):
            found.append(gliaflow.reproduce(root).reproduced)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)
    assert found == [["one"], ["one"], []]
    assert Path.cwd() == first.root.parent
    second.write({"seed.txt": "2\n"})
    assert gliaflow.reproduce(second.root).reproduced == ["one"]


class Heard:
    """Keeps the messages that it hears."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def hear(self, event: Event) -> None:
        """Keep it."""
        if isinstance(event, Message):
            self.texts.append(event.text)


def test_at_the_same_time_one_waits_and_says_so(new_project: Any) -> None:
    first, second = made(new_project("a")), made(new_project("b"))
    first.pipeline(
        {"one": STAGES["one"] | {"cmd": "touch begun; while test ! -e go; do sleep 0.05; done; touch one.txt"}}
    )
    results: dict[str, list[str]] = {}

    def work() -> None:
        results["a"] = gliaflow.reproduce(first.root).reproduced

    thread = threading.Thread(target=work)
    thread.start()
    assert soon(lambda: (first.root / "begun").exists())
    heard = Heard()

    def other() -> None:
        results["b"] = gliaflow.reproduce(second.root, listener=heard).reproduced

    waiting = threading.Thread(target=other)
    waiting.start()
    assert soon(lambda: heard.texts)
    (first.root / "go").touch()
    for one in (thread, waiting):
        one.join(PATIENCE)
    assert results == {"a": ["one"], "b": ["one"]}
    assert heard.texts[0].startswith(f"waits: this process works in {first.root}")
    second.clean()
