"""Entries of dvc.lock stand where DVC would have put them, in whatever order stages end."""

from types import SimpleNamespace
from typing import Any

import pytest
from ruamel.yaml import YAML

from gliaflow.core.ports import NotYet
from gliaflow.workspace.lockfile import _after
from gliaflow.workspace.workspace import Workspace
from tests.gliaflow.workspace.test_conformance import run
from tests.support.repos import Project, copies


def entries(project: Project) -> list[str]:
    """The stages in dvc.lock, in order."""
    path = project.root / "dvc.lock"
    return list(YAML(typ="safe", pure=True).load(path)["stages"]) if path.exists() else []


@pytest.fixture
def pair(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two stages of which neither waits for the other."""
    project.write({"seed.txt": "1\n"})
    project.pipeline({"a": copies("seed.txt", "a.txt"), "b": copies("seed.txt", "b.txt")})
    monkeypatch.setenv("PATH", project.environment["PATH"])
    return project


def test_a_new_entry_waits_for_those_before_it(pair: Project) -> None:
    with Workspace(pair.root, None, lambda _: None) as workspace:
        workspace.plan()
        run(workspace, "b")
        assert workspace._lockfiles.flush() == {}
        assert entries(pair) == []
        assert not (pair.root / ".gitignore").exists()
        run(workspace, "a")
        assert workspace.close(failed=False, complete=True) == {}
    assert entries(pair) == ["a", "b"]
    assert (pair.root / ".gitignore").read_text() == "/a.txt\n/b.txt\n"


@pytest.mark.parametrize("run_cache", [True, False])
def test_after_a_failure_only_what_the_run_cache_cannot_restore_is_written(pair: Project, run_cache: bool) -> None:
    with Workspace(pair.root, None, lambda _: None) as workspace:
        workspace.plan()
        run(workspace, "b")
        if not run_cache:
            workspace._lockfiles._restorable.clear()
        assert workspace.close(failed=True, complete=False) == {}
    assert entries(pair) == ([] if run_cache else ["b"])
    assert sorted((pair.root / ".gitignore").read_text().splitlines()) == ["/a.txt", "/b.txt"]


def test_an_entry_that_is_there_already_is_written_in_its_place(pair: Project) -> None:
    pair.dvc("repro")
    pair.write({"seed.txt": "2\n"})
    before = (pair.root / "dvc.lock").read_text()
    with Workspace(pair.root, None, lambda _: None) as workspace:
        workspace.plan()
        run(workspace, "b")
        assert workspace._lockfiles.flush() == {}
        assert (pair.root / "dvc.lock").read_text() != before
        workspace.close(failed=False, complete=False)
    assert entries(pair) == ["a", "b"]


def test_a_folder_that_a_stage_before_writes_into_is_not_complete_until_that_is_settled(pair: Project) -> None:
    stages = {"a": copies("seed.txt", "sub/a.txt"), "b": {"cmd": "ls sub > l", "deps": ["sub"], "outs": ["l"]}}
    pair.write({"sub/keep": ""})
    pair.pipeline(stages)
    with Workspace(pair.root, None, lambda _: None) as workspace:
        workspace.plan()
        with pytest.raises(NotYet, match="what it reads gets a lock file"):
            workspace._lockfiles.complete("b")
        run(workspace, "a")
        workspace._lockfiles.complete("b")
        assert entries(pair) == ["a"]
        workspace.close(failed=False, complete=False)


def stage(address: str, reads: list[str], makes: list[str], frozen: bool = False) -> Any:
    """By its paths; its dvc.yaml lies in /r."""
    deps = [SimpleNamespace(fs_path=path, fs=True, protocol="local") for path in reads]
    outs = [SimpleNamespace(fs_path=path, protocol="local") for path in makes]
    return SimpleNamespace(addressing=address, deps=deps, outs=outs, path="/r/dvc.yaml", frozen=frozen)


def test_who_reads_what_the_graph_does_not_tell_of_comes_after_its_last_writer() -> None:
    stages = [
        stage("a", ["/r/seed"], ["/r/sub/a"]),
        stage("b", ["/r/sub"], ["/r/b"]),
        stage("c", ["/r/sub/a"], ["/r/sub/deep/c"]),
        stage("d", ["/r/sub", "/r/sub/deep"], []),
        stage("e", ["/r/b"], [], frozen=True),
    ]
    assert _after(stages) == {"b": 1, "d": 3, "e": 2}
