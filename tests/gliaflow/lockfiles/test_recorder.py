"""What is recorded is on disk as soon as its stage is settled, where DVC would have put it."""

from types import SimpleNamespace
from typing import Any

import pytest
from dvc.dvcfile import ProjectFile
from ruamel.yaml import YAML

from gliaflow.core.ports import NotYet
from gliaflow.errors import UserError
from gliaflow.lockfiles.lockfile import LockFile
from gliaflow.lockfiles.recorder import _after, _readers
from gliaflow.lockfiles.whole import NOTE
from gliaflow.workspace.workspace import Workspace
from tests.gliaflow.workspace.test_conformance import execute, run
from tests.support.repos import Project, copies


def entries(project: Project) -> list[str]:
    """The stages in dvc.lock, in order."""
    path = project.root / "dvc.lock"
    return list(YAML(typ="safe", pure=True).load(path)["stages"]) if path.exists() else []


def ignored(project: Project) -> list[str]:
    """The lines of .gitignore."""
    return (project.root / ".gitignore").read_text().splitlines()


@pytest.fixture
def pair(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three stages of which none waits for another."""
    project.write({"seed.txt": "1\n"})
    project.pipeline({name: copies("seed.txt", f"{name}.txt") for name in "abc"})
    monkeypatch.setenv("PATH", project.environment["PATH"])
    return project


def opened(project: Project) -> Workspace:
    """The workspace, not entered yet."""
    return Workspace(project.root, None, lambda _: None)


def noted(project: Project) -> bool:
    """Whether a run is noted as unfinished."""
    return (project.root / ".dvc/tmp" / NOTE).exists()


def test_a_new_entry_is_there_at_once_and_stands_in_dvcs_order(pair: Project) -> None:
    with opened(pair) as workspace:
        workspace.plan()
        run(workspace, "c")
        assert (entries(pair), ignored(pair)) == (["c"], ["/c.txt"])
        run(workspace, "a")
        assert (entries(pair), ignored(pair)) == (["a", "c"], ["/a.txt", "/c.txt"])
        run(workspace, "b")
        assert (entries(pair), ignored(pair)) == (["a", "b", "c"], ["/a.txt", "/b.txt", "/c.txt"])
        assert noted(pair)
        assert workspace.close(failed=False, complete=True) == {}
    assert not noted(pair)


def test_an_entry_that_is_there_already_keeps_its_place(pair: Project) -> None:
    pair.dvc("repro", "c")
    pair.write({"seed.txt": "2\n"})
    before = (pair.root / "dvc.lock").read_text()
    with opened(pair) as workspace:
        workspace.plan()
        run(workspace, "c")
        assert (pair.root / "dvc.lock").read_text() != before
        run(workspace, "b")
        run(workspace, "a")
        assert entries(pair) == ["c", "a", "b"]
        workspace.close(failed=False, complete=True)


def test_after_a_run_that_ended_early_the_next_puts_entries_in_between(pair: Project) -> None:
    with opened(pair) as workspace:
        workspace.plan()
        run(workspace, "c")
        workspace.close(failed=False, complete=False)
    assert (entries(pair), ignored(pair)) == (["c"], ["/c.txt"])
    assert noted(pair)
    with opened(pair) as workspace:
        workspace.plan()
        run(workspace, "b")
        run(workspace, "a")
        workspace.prepare("c")
        workspace.settle("c")
        workspace.close(failed=False, complete=True)
    assert entries(pair) == ["a", "b", "c"]
    assert not noted(pair)


def test_what_is_recorded_and_not_settled_is_written_at_the_end(pair: Project) -> None:
    with opened(pair) as workspace:
        workspace.plan()
        prepared = workspace.prepare("b")
        workspace.claim("b")
        execute(prepared)
        workspace.finish("b")
        assert entries(pair) == []
        workspace.close(failed=False, complete=False)
    assert entries(pair) == ["b"]


@pytest.mark.parametrize("note", ["", "# a note\n"])
@pytest.mark.parametrize("run_cache", [True, False])
def test_after_a_failure_only_what_the_run_cache_cannot_restore_stays(
    pair: Project, run_cache: bool, note: str
) -> None:
    pair.pipeline({name: copies("seed.txt", f"{name}.txt") for name in "0abc"})
    if note:
        pair.dvc("repro", "0")
        (path := pair.root / "dvc.lock").write_text(note + path.read_text())
        pair.write({"seed.txt": "2\n"})
    with opened(pair) as workspace:
        workspace.plan(["a", "b", "c", *(["0"] if note else [])])
        for name in ["c", "a", *(["0"] if note else [])]:
            run(workspace, name)
        if not run_cache:
            workspace._lockfiles._restorable.clear()
        assert workspace.close(failed=True, complete=False) == {}
    assert entries(pair) == (["0"] if note else []) + (["a"] if run_cache else ["a", "c"])
    assert ignored(pair)[-3:] == ["/a.txt", "/b.txt", "/c.txt"]


def test_after_a_failure_that_nothing_ended_before_there_is_no_file(pair: Project) -> None:
    with opened(pair) as workspace:
        workspace.plan()
        run(workspace, "c")
        assert workspace.close(failed=True, complete=False) == {}
    assert not (pair.root / "dvc.lock").exists()
    assert "c: restored from run-cache" in pair.flow().stdout
    assert entries(pair) == ["a", "b", "c"]


def test_what_could_not_be_written_is_named_and_tried_again(pair: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError("no room")

    with opened(pair) as workspace:
        workspace.plan()
        monkeypatch.setattr(LockFile, "write", full)
        prepared = workspace.prepare("a")
        workspace.claim("a")
        execute(prepared)
        workspace.finish("a")
        assert list(map(str, workspace.settle("a").values())) == ["no room"]
        workspace._lockfiles._after["b"] = 1
        with pytest.raises(UserError, match="a cannot be recorded: no room"):
            workspace.prepare("b")
        monkeypatch.undo()
        workspace.prepare("b")
        assert entries(pair) == ["a"]
        workspace.close(failed=False, complete=False)


def test_git_stages_what_was_written(pair: Project) -> None:
    pair.commit()
    pair.dvc("config", "core.autostage", "true")
    with opened(pair) as workspace:
        workspace.plan()
        run(workspace, "b")
        workspace.close(failed=False, complete=True)
    assert pair.run("git", "status", "--short", "dvc.lock", ".gitignore").stdout == "A  .gitignore\nA  dvc.lock\n"


def test_a_folder_that_a_stage_before_writes_into_is_not_complete_until_that_is_settled(pair: Project) -> None:
    stages = {"a": copies("seed.txt", "sub/a.txt"), "b": {"cmd": "ls sub > l", "deps": ["sub"], "outs": ["l"]}}
    pair.write({"sub/keep": ""})
    pair.pipeline(stages)
    with opened(pair) as workspace:
        workspace.plan()
        with pytest.raises(NotYet, match="what it reads gets a lock file"):
            workspace.prepare("b")
        run(workspace, "a")
        workspace.prepare("b")
        workspace.close(failed=False, complete=False)


def test_a_lock_file_that_a_stage_before_reads_is_written_when_that_has_ended(pair: Project) -> None:
    pair.write({"sub/keep": ""})
    pair.pipeline({"reads": {"cmd": "ls sub > l", "deps": ["sub"], "outs": ["l"]}})
    pair.pipeline({"writes": copies("../seed.txt", "../w.txt")}, "sub/dvc.yaml")
    with opened(pair) as workspace:
        order = [stage.address for stage in workspace.plan(["dvc.yaml", "sub/dvc.yaml"]).stages]
        assert order == ["reads", "sub/dvc.yaml:writes"]
        run(workspace, "sub/dvc.yaml:writes")
        assert not (pair.root / "sub/dvc.lock").exists()
        run(workspace, "reads")
        assert (pair.root / "sub/dvc.lock").exists()
        workspace.close(failed=False, complete=True)


def test_a_file_of_one_stage_is_written_as_dvc_does(pair: Project) -> None:
    pair.write({"data.txt": "1\n", "copy.txt": "1\n"})
    pair.dvc("add", "data.txt")
    (file := pair.root / "data.txt.dvc").write_text(f"# mine\nmeta: {{who: me}}\n{file.read_text()}")
    twin = pair.copy(pair.root.parent / "twin" / "project")
    for project in (pair, twin):
        project.write({"data.txt": "2\n"})
    twin.dvc("repro", "data.txt.dvc")
    with opened(pair) as workspace:
        workspace.plan(["data.txt.dvc"])
        workspace.prepare("data.txt.dvc")
        assert workspace.settle("data.txt.dvc") == {}
        assert pair.left() == twin.left()
        workspace.close(failed=False, complete=True)
    assert file.read_text().startswith("# mine\nmeta: {who: me}\n")


def stage(address: str, reads: list[str], makes: list[str], frozen: bool = False, folder: str = "/r") -> Any:
    """By its paths; its dvc.yaml lies in `folder`."""
    deps = [SimpleNamespace(fs_path=path, fs=True, protocol="local") for path in reads]
    outs = [SimpleNamespace(fs_path=path, protocol="local", use_scm_ignore=True) for path in makes]
    path, file = f"{folder}/dvc.yaml", object.__new__(ProjectFile)
    return SimpleNamespace(addressing=address, deps=deps, outs=outs, path=path, frozen=frozen, dvcfile=file)


def test_who_reads_what_the_graph_does_not_tell_of_comes_after_its_last_writer() -> None:
    stages = [
        stage("a", ["/r/seed"], ["/r/sub/a"]),
        stage("b", ["/r/sub"], ["/r/b"]),
        stage("c", ["/r/sub/a"], ["/r/sub/deep/c"]),
        stage("d", ["/r/sub", "/r/sub/deep"], []),
        stage("e", ["/r/b"], [], frozen=True),
        stage("f", ["/r/dvc.lock", "/r/other/dvc.lock"], []),
        stage("g", ["/r/sub/.gitignore"], []),
    ]
    assert _after(stages) == {"b": 1, "d": 3, "e": 2, "f": 5, "g": 1}


def test_who_reads_a_lock_file_reads_it_as_it_is_before_the_stages_behind() -> None:
    stages = [
        stage("a", ["/r/sub", "/r/x"], ["/r/a"]),
        stage("b", ["/r/dvc.lock"], ["/r/b"], folder="/r/sub"),
        stage("c", ["/r/x"], ["/r/c"]),
        stage("d", ["/r/x"], ["/r/sub/deep/d"], folder="/r/other"),
    ]
    assert {name: sorted(readers) for name, readers in _readers(stages).items()} == {"b": ["a"], "c": ["b"], "d": ["a"]}
