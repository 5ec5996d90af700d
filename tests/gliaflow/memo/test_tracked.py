"""git tracks what DVC says that it tracks, whatever happens to the index."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from gliaflow.memo.tracked import index_read_once
from tests.support.repos import Project

PATHS = ["a", "a.txt", "a b", "folder", "folder/x", "folder/", "folder-x", "folde", "z", "é", ".dvc", "nothing", "."]


@pytest.fixture
def repo(project: Project) -> Any:
    project.write({"a": "", "a b": "", "folder/x": "", "folder/y": "", "folder-x": "", "é": "", "z/deep/down": ""})
    project.run("git", "add", "-A")
    with Repo(str(project.root)) as made:
        yield made


def both(repo: Any) -> tuple[list[bool], list[bool]]:
    """What is tracked by what is known, and by DVC."""
    paths = [str(Path(repo.root_dir) / path) for path in PATHS]
    with Repo(repo.root_dir) as fresh:
        return [repo.scm.is_tracked(path) for path in paths], [fresh.scm.is_tracked(path) for path in paths]


def test_the_same_is_tracked_before_and_after_a_change(repo: Any, project: Project) -> None:
    with index_read_once(repo.scm):
        known, now = both(repo)
        assert known == now
        assert True in known
        assert False in known
        project.run("git", "rm", "-q", "--cached", "a", "folder/x", "folder/y")
        changed, now = both(repo)
        assert changed == now != known
        (project.root / ".git/index").unlink()
        gone, now = both(repo)
        assert gone == now == [False] * len(PATHS)


def test_the_index_is_read_once(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    git = repo.scm.dulwich.repo
    found = []

    def index() -> list[bytes]:
        found.append(1)
        return [b"a"]

    monkeypatch.setattr(git, "open_index", index)
    with index_read_once(repo.scm):
        assert [repo.scm.is_tracked(f"{repo.root_dir}/{name}") for name in ("a", "b", "a")] == [True, False, True]
    assert found == [1]


def test_a_repository_without_git_tracks_nothing(tmp_path: Path) -> None:
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    with Repo(str(tmp_path)) as repo, index_read_once(repo.scm):
        assert repo.scm.is_tracked(str(tmp_path / "a")) is False
