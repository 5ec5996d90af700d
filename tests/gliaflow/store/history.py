"""A project with three runs of three stages, and what the tests of sharing look at."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dvc.repo import Repo

from tests.support.repos import Project, environment, stock

GRAPH = {
    "one": {
        "cmd": "echo one >> ran.log; cp seed.txt one.txt",
        "deps": ["seed.txt"],
        "params": ["p"],
        "outs": ["one.txt"],
    },
    "two": {
        "cmd": "echo two >> ran.log; mkdir two; cp one.txt two/a; grep p params.yaml > two/b",
        "deps": ["one.txt"],
        "params": ["p"],
        "outs": ["two"],
    },
    "three": {"cmd": "echo three >> ran.log; cat two/a two/b > three.txt", "deps": ["two"], "outs": ["three.txt"]},
}


@contextmanager
def opened(project: Project) -> Iterator[Repo]:
    """The repository as DVC opens it, with the working directory in it."""
    before = Path.cwd()
    os.chdir(project.root)
    try:
        with Repo() as repo:
            yield repo
    finally:
        os.chdir(before)


def compute(project: Project) -> Project:
    """Run with three values of the parameter, each a commit."""
    project.write({"seed.txt": "1\n", ".gitignore": "ran.log\n"})
    project.pipeline(GRAPH)
    for value in (1, 2, 3):
        project.write({"params.yaml": f"p: {value}\n"})
        stock(project.root)
        project.commit()
    return project


@pytest.fixture(scope="session")
def once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project that `computed` copies."""
    folder = tmp_path_factory.mktemp("once")
    return compute(Project(folder / "project", environment(folder / "home", "")))  # no flow runs: it needs no server


@pytest.fixture
def computed(once: Project, tmp_path: Path) -> Project:
    """A project that has run three times, with the folder `store` as its remote."""
    return shared(once.copy(tmp_path / "project"), tmp_path / "store")


def shared(project: Project, store: Path) -> Project:
    """The same, with the folder `store` as its remote, which no commit says."""
    remote = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n"
    (project.root / ".dvc/config.local").write_text(remote)
    return project


def teammate(project: Project, root: Path) -> Project:
    """The same commits in another place, with nothing in the cache."""
    other = project.copy(root)
    shutil.rmtree(root / ".dvc/cache")
    project.run("git", "-C", str(root), "clean", "-fdxq", "--exclude", ".dvc")
    return other


def holding(text: str, folder: Path) -> Path:
    """The object below `folder` that holds this text."""
    return next(path for path in folder.rglob("*") if path.is_file() and path.read_text() == text)


def change(path: Path, text: str, mode: int = 0o644) -> str:
    """Damage an object, and leave it with these permissions; its hash."""
    path.chmod(0o644)
    path.write_text(text)
    path.chmod(mode)
    return path.parent.name + path.name


def ran(project: Project) -> list[str]:
    """The commands that really ran."""
    log = project.root / "ran.log"
    return log.read_text().split() if log.exists() else []
