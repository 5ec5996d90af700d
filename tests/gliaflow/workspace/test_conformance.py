"""What the scheduler may expect of any workspace: DVC's, the fallback, and the fake of the tests."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.ports import Prepared, Workspace
from gliaflow.core.report import Outcome
from gliaflow.workspace.fallback import Fallback
from gliaflow.workspace.workspace import Workspace as DvcWorkspace
from tests.support.fakes import FakeWorkspace, World
from tests.support.repos import Project, copies

Opened = Callable[[], AbstractContextManager[Workspace]]


@contextmanager
def fake() -> Iterator[Workspace]:
    """Two stages of nothing."""
    yield FakeWorkspace(World(1, Graph((Stage("a"), Stage("b", ("a",))))))


@pytest.fixture(params=["dvc", "fallback", "fake"])
def opened(request: pytest.FixtureRequest, project: Project, monkeypatch: pytest.MonkeyPatch) -> Opened:
    """Open a workspace of the stages `a`, and `b` that reads `a`'s output; neither has run."""
    project.write({"seed.txt": "1\n"})
    project.pipeline({"a": copies("seed.txt", "a.txt"), "b": copies("a.txt", "b.txt")})
    monkeypatch.setenv("PATH", project.environment["PATH"])
    found: dict[str, Opened] = {
        "dvc": lambda: DvcWorkspace(project.root, None, lambda _: None),
        "fallback": lambda: Fallback(project.root, None, lambda _: None),
        "fake": fake,
    }
    return found[request.param]


def execute(prepared: Prepared) -> None:
    """Run the commands as an executor would."""
    assert prepared.commands
    for line in prepared.commands.arguments:
        subprocess.run(line, cwd=prepared.commands.cwd, env=dict(prepared.commands.env) or None, check=True)


def run(workspace: Workspace, address: str) -> dict[str, str]:
    """Bring a stage that has to run through all doors."""
    prepared = workspace.prepare(address, False, False)
    assert prepared.outcome is Outcome.RUN
    assert workspace.claim(address, False)
    workspace.hold(address, os.getpid())
    workspace.clear(address)
    execute(prepared)
    outputs = workspace.finish(address)
    assert workspace.settle(address) == {}
    return outputs


def test_the_plan_is_in_order_and_names_upstreams(opened: Opened) -> None:
    with opened() as workspace:
        stages = workspace.plan().stages
        assert [stage.address for stage in stages] == ["a", "b"]
        assert [stage.upstreams for stage in stages] == [(), ("a",)]
        assert workspace.close(failed=False, complete=True) == {}


def test_what_has_not_run_is_changed_and_foreseen(opened: Opened) -> None:
    with opened() as workspace:
        workspace.plan()
        assert not workspace.unchanged(["a"])
        assert workspace.forecast("a", {}).changed
        workspace.close(failed=False, complete=True)


def test_a_stage_passes_through_all_doors_in_order(opened: Opened) -> None:
    with opened() as workspace:
        workspace.plan()
        for address in ("a", "b"):
            outputs = run(workspace, address)
            assert set(outputs) <= {f"{address}.txt"}
            workspace.release(address)  # as a job does at its end, whether it holds anything or not
        assert workspace.close(failed=False, complete=True) == {}


def test_what_is_claimed_may_be_given_back(opened: Opened) -> None:
    with opened() as workspace:
        workspace.plan()
        workspace.prepare("a", False, False)
        workspace.claim("a", False)
        workspace.release("a")
        workspace.release("a")
        workspace.discard("a")
        workspace.settle("a")
        assert workspace.close(failed=True, complete=False) == {}
