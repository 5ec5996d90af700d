"""What DVC ignores, and what git tracks, is kept as long as nothing changed it."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from gliaflow.memo import ignored
from gliaflow.memo.ignored import ignores_kept, index_read_once, look_again
from tests.support.repos import Project


@pytest.fixture
def repo(project: Project) -> Iterator[Any]:
    project.write({"data/x": "", "data/deep/y": "", "other/z": "", ".dvcignore": "*.tmp\n"})
    with Repo(str(project.root)) as made, ignores_kept(made):
        yield made


def seen(repo: Any) -> list[str]:
    """The files that DVC does not ignore."""
    return sorted(os.path.relpath(path, repo.root_dir) for path in repo.dvcignore.find(repo.fs, repo.root_dir))


def fresh(repo: Any) -> list[str]:
    with Repo(repo.root_dir) as other:
        return seen(other)


def test_what_did_not_change_is_kept(repo: Any, project: Project) -> None:
    assert "data/deep/y" in seen(repo)
    known = repo.dvcignore
    project.write({"new.txt": "", "data/new": "", "data/deep/new": ""})
    look_again(repo)
    assert repo.dvcignore is known
    assert seen(repo) == fresh(repo)


@pytest.mark.parametrize(
    "files",
    [
        {".dvcignore": "*.tmp\nother\n"},
        {"data/.dvcignore": "x\n"},
        {"data/deep/.dvcignore": "y\n"},
        {"data/deep/.dvc/config": ""},
        {"other/.dvc/config": "", "new/.dvc/config": "", "new/inside": ""},
    ],
)
def test_what_changes_it_is_noticed(repo: Any, project: Project, files: dict[str, str]) -> None:
    before = seen(repo)
    project.write(files)
    look_again(repo)
    assert seen(repo) == fresh(repo) != before


def test_what_is_removed_is_noticed(repo: Any, project: Project) -> None:
    project.write({"a.tmp": "", "other/.dvc/config": ""})
    look_again(repo)
    before = seen(repo)
    (project.root / ".dvcignore").unlink()
    shutil.rmtree(project.root / "other/.dvc")
    look_again(repo)
    assert seen(repo) == fresh(repo) == ["a.tmp", *before[1:], "other/z"]


def test_of_many_folders_none_is_kept(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ignored, "MOST", 1)
    seen(repo)
    known = repo.dvcignore
    look_again(repo)
    assert repo.dvcignore is not known
    assert seen(repo) == fresh(repo)


@pytest.mark.parametrize("seed", range(20))
def test_after_any_changes_it_is_as_if_read_anew(repo: Any, project: Project, seed: int) -> None:
    chance = random.Random(seed)
    folders = ["", "data/", "data/deep/", "other/", "new/", "new/sub/"]
    for _ in range(12):
        folder = chance.choice(folders)
        name = folder + chance.choice([".dvcignore", ".dvc/config", "x", "y.tmp"])
        path = project.root / name
        if name == ".dvc/config":
            continue
        if path.exists() and chance.random() < 0.4:
            shutil.rmtree(path.parent) if path.parent.name == ".dvc" else path.unlink()
        elif folder and chance.random() < 0.2:
            shutil.rmtree(project.root / folder, ignore_errors=True)
        else:
            project.write({name: chance.choice(["x\n", "*.tmp\n", "deep\n", ""])})
        look_again(repo)
        assert seen(repo) == fresh(repo), name


def test_what_dvc_has_read_for_itself_is_not_kept(repo: Any, project: Project) -> None:
    before = seen(repo)
    repo._reset()  # as when it runs an import
    assert seen(repo) == before
    project.write({".dvcignore": "*.tmp\nother\n"})
    look_again(repo)
    assert seen(repo) == fresh(repo) != before


def test_a_folder_that_goes_holds_none(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    inside = ignored._Inside(str(tmp_path / "a"))
    assert not inside.moved()
    shutil.rmtree(tmp_path / "a")
    assert inside.moved()
    assert not inside.moved()


PATHS = ["a", "a.txt", "a b", "folder", "folder/x", "folder/", "folder-x", "folde", "z", "é", ".dvc", "nothing", "."]


@pytest.fixture
def tracking(project: Project) -> Any:
    project.write({"a": "", "a b": "", "folder/x": "", "folder/y": "", "folder-x": "", "é": "", "z/deep/down": ""})
    project.run("git", "add", "-A")
    with Repo(str(project.root)) as made:
        yield made


def both(repo: Any) -> tuple[list[bool], list[bool]]:
    """What is tracked by what is known, and by DVC."""
    paths = [str(Path(repo.root_dir) / path) for path in PATHS]
    with Repo(repo.root_dir) as fresh:
        return [repo.scm.is_tracked(path) for path in paths], [fresh.scm.is_tracked(path) for path in paths]


def test_the_same_is_tracked_before_and_after_a_change(tracking: Any, project: Project) -> None:
    with index_read_once(tracking.scm):
        known, now = both(tracking)
        assert known == now
        assert True in known
        assert False in known
        project.run("git", "rm", "-q", "--cached", "a", "folder/x", "folder/y")
        changed, now = both(tracking)
        assert changed == now != known
        (project.root / ".git/index").unlink()
        gone, now = both(tracking)
        assert gone == now == [False] * len(PATHS)


def test_the_index_is_read_once(tracking: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    git = tracking.scm.dulwich.repo
    found = []

    def index() -> list[bytes]:
        found.append(1)
        return [b"a"]

    monkeypatch.setattr(git, "open_index", index)
    with index_read_once(tracking.scm):
        assert [tracking.scm.is_tracked(f"{tracking.root_dir}/{name}") for name in ("a", "b", "a")] == [
            True,
            False,
            True,
        ]
    assert found == [1]


def test_a_repository_without_git_tracks_nothing(tmp_path: Path) -> None:
    subprocess.run(["dvc", "init", "-q", "--no-scm"], cwd=tmp_path, check=True)
    with Repo(str(tmp_path)) as repo, index_read_once(repo.scm):
        assert repo.scm.is_tracked(str(tmp_path / "a")) is False
