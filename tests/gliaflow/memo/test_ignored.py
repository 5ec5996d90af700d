"""What DVC ignores is kept as long as nothing changed it."""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from gliaflow.memo import ignored
from gliaflow.memo.ignored import ignores_kept, look_again
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


def test_a_repository_that_is_read_without_it_stays_as_it_is(project: Project) -> None:
    with Repo(str(project.root)) as repo:
        known = repo.dvcignore
        look_again(repo)
        assert repo.dvcignore is known


def test_a_folder_that_goes_holds_none(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    inside = ignored._Inside(str(tmp_path / "a"))
    assert not inside.moved()
    shutil.rmtree(tmp_path / "a")
    assert inside.moved()
    assert not inside.moved()
