"""What a run was made with, as its journal keeps it."""

import importlib.metadata
import platform
from pathlib import Path

import pytest

from gliaflow.core.graph import Graph, Stage
from gliaflow.journal import versions
from gliaflow.journal.versions import code, environment, lock, locks
from tests.support.repos import Project
from tests.support.repos import environment as variables
from tests.support.runs import md5


def test_paths_that_are_not_as_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Project(tmp_path / "project", variables(tmp_path, ""))
    made.write({"a.txt": "a", "b c.txt": "b", "old.txt": "a text that is long enough to be known again"})
    made.commit()
    assert code(made.root) == {"changed": [], "more": 0}
    made.run("git", "mv", "old.txt", "new.txt")
    made.write({"b c.txt": "c", "\u00fc.txt": "", "folder/x": ""})
    found = code(made.root)["changed"]
    assert isinstance(found, list)
    assert sorted(found) == ["b c.txt", "folder/", "new.txt", "ü.txt"]
    monkeypatch.setattr(versions, "MOST_CHANGED", 1)
    assert code(made.root)["more"] == 3


def test_without_git_nothing_is_known(tmp_path: Path) -> None:
    assert code(tmp_path) == {}


def test_packages_are_those_that_python_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = environment()
    assert found["python"] == platform.python_version()
    packages = found["packages"]
    assert isinstance(packages, dict)
    for name in ("dvc", "pydantic-core", "prefect"):
        assert packages[name] == importlib.metadata.version(name)
    (tmp_path / "My_Package-1.0+cpu.dist-info").mkdir()
    (tmp_path / "broken.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path), str(tmp_path / "gone")])
    assert environment()["packages"] == {"my-package": "1.0+cpu"}


def test_lock_files_of_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    (tmp_path / "dvc.lock").write_bytes(b"one")
    (tmp_path / "sub/dvc.lock").write_bytes(b"two")
    names = ["a", "sub/dvc.yaml:b", "sub/dvc.yaml:c@1", "x/dvc.yaml:d", "data.dvc", "sub/data.dvc"]
    found = locks(Graph(tuple(map(Stage, names))))
    assert found == {"dvc.lock": md5(b"one"), "sub/dvc.lock": md5(b"two")}
    assert [lock(one) for one in names] == ["dvc.lock", "sub/dvc.lock", "sub/dvc.lock", "x/dvc.lock", "", ""]
