"""What is known of a path is what DVC would compute now, and DVC is asked no more often than it must be."""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dvc.output
import pytest
from dvc.progress import Tqdm
from dvc.repo import Repo

from gliaflow.memo import stamps
from gliaflow.memo.hashes import Hashes
from tests.support.repos import Project

STAGES = {
    "one": {"cmd": "true", "deps": ["data", "file.txt"], "params": ["a"], "outs": ["one.txt"]},
    "two": {"cmd": "true", "deps": ["data"], "params": [{"other.json": ["b"]}], "outs": ["two"]},
}


@pytest.fixture
def repo(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A repository of two stages that read a folder, a file and parameters."""
    project.write(
        {"data/x": "x", "data/deep/y": "y", "file.txt": "f", "params.yaml": "a: 1\n", "other.json": '{"b": 2}'}
    )
    project.write({"one.txt": "1", "two/z": "z"})
    project.pipeline(STAGES)
    monkeypatch.chdir(project.root)
    with Repo() as opened:
        yield opened


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the paths that DVC hashed."""
    found: list[str] = []
    real = dvc.output.build

    def build(odb: Any, path: str, *args: Any, **options: Any) -> Any:
        found.append(Path(path).name)
        return real(odb, path, *args, **options)

    monkeypatch.setattr(dvc.output, "build", build)
    return found


@pytest.fixture
def known(repo: Any, built: list[str]) -> Iterator[Hashes]:
    assert built == []
    made = Hashes(repo.root_dir)
    with made.installed():
        yield made


def saved(repo: Any) -> list[dict[str, Any]]:
    """What DVC says of all dependencies and outputs, hashed at this moment."""
    entries = [entry for stage in repo.index.stages for entry in [*stage.deps, *stage.outs]]
    for entry in entries:
        entry.save()
    return [entry.dumpd() for entry in entries]


def test_each_path_is_hashed_once(repo: Any, known: Hashes, built: list[str]) -> None:
    with known.moment():
        first = saved(repo)
    assert sorted(built) == ["data", "file.txt", "one.txt", "two"]
    built.clear()
    with known.moment():
        assert saved(repo) == first
    assert built == []


@pytest.mark.usefixtures("known")
def test_no_bar_is_made(repo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(Tqdm, "__init__", lambda *_, **options: made.append(options))
    saved(repo)
    outs = [out for stage in repo.index.stages for out in stage.outs]
    for out in outs:
        out.commit()
    assert made == []
    assert all(Path(out.cache_path).exists() for out in outs)


def test_params_are_read_once_and_nobody_shares_them(repo: Any, known: Hashes, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = next(one for one in repo.index.stages if one.name == "two")
    (dep,) = (one for one in stage.deps if one.def_path == "other.json")
    assert dep.read_params() == {"b": 2}
    monkeypatch.setattr(json, "loads", None)
    dep.read_params()["b"] = 3
    assert dep.read_params() == {"b": 2}
    monkeypatch.undo()
    Path(dep.fs_path).write_text('{"b": 30}')
    assert dep.read_params() == {"b": 30}
    assert known


def test_a_folder_is_looked_through_once_a_moment_but_for_what_is_ones_own(
    repo: Any, known: Hashes, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    real = stamps.stamp

    def stamp(path: str, top: str | None = None) -> Any:
        looks.append(Path(path).name)
        return real(path, top)

    with known.moment():
        saved(repo)
    monkeypatch.setattr("gliaflow.memo.hashes.stamp", stamp)
    known.begin()
    with known.moment(frozenset({str(Path("two").resolve())})):
        saved(repo)
        saved(repo)
    assert looks.count("data") == 1
    assert looks.count("two") > 1
    with known.moment():
        saved(repo)
    assert looks.count("data") == 2


def test_before_commands_start_a_look_counts_for_a_while(
    repo: Any, known: Hashes, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr("gliaflow.memo.hashes.time.monotonic", lambda: now)
    with known.moment():
        saved(repo)
    built.clear()
    Path("data/new").write_text("")
    with known.moment():
        saved(repo)
    assert built == []
    now = 2.0
    with known.moment():
        saved(repo)
    assert built == ["data"]


def test_what_changes_while_dvc_hashes_it_is_not_kept(
    repo: Any, known: Hashes, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = dvc.output.build

    def writing(odb: Any, path: str, *args: Any, **options: Any) -> Any:
        result = real(odb, path, *args, **options)
        Path("file.txt").write_text(str(len(built)))
        return result

    known.begin()
    monkeypatch.setattr(dvc.output, "build", real)
    with Hashes(repo.root_dir).installed():
        """An inner one changes nothing."""
    monkeypatch.setattr(dvc.output, "build", writing)
    other = Hashes(repo.root_dir)
    with other.installed():
        for _ in range(3):
            saved(repo)
    assert built.count("file.txt") == 3


def test_random_writes(repo: Any, known: Hashes) -> None:
    """After any writes what is known equals what DVC computes without it."""
    chance = random.Random(7)
    known.begin()
    for step in range(60):
        name = chance.choice(
            ["data/x", "data/deep/y", "data/new", "file.txt", "one.txt", "two/z", "two/w", "params.yaml"]
        )
        path = Path(name)
        if chance.random() < 0.3 and name in ("data/new", "two/w"):
            path.unlink(missing_ok=True)
        else:
            path.write_text(f"a: {chance.randrange(3)}\n" if name == "params.yaml" else str(chance.randrange(5)))
        with known.moment():
            ours = saved(repo)
        build, load = dvc.output.build, dvc.dependency.param.load_path
        with Repo() as plain:
            dvc.output.build, dvc.dependency.param.load_path = REAL
            try:
                theirs = saved(plain)
            finally:
                dvc.output.build, dvc.dependency.param.load_path = build, load
        assert ours == theirs, step


REAL = dvc.output.build, dvc.dependency.param.load_path
