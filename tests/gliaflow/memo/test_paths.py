"""What is known of two paths is what DVC says of them."""

import json
from itertools import product
from typing import Any

import pytest
from dvc.fs import LocalFileSystem, MemoryFileSystem
from dvc.output import Output
from dvc.repo import Repo
from dvc_objects.fs.base import FileSystem

from gliaflow.memo.paths import paths_known
from tests.support.repos import Project

PATHS = ["/a", "/a/", "/a/b", "/ab", "/", "a", "a/b", "", ".", "/a/../a/b"]


@pytest.mark.parametrize("cls", [LocalFileSystem, MemoryFileSystem])
def test_what_lies_in_what(cls: Any) -> None:
    pairs = list(product(PATHS, repeat=2))
    expected = [(cls.isin(*pair), cls.isin_or_eq(*pair), cls.overlaps(*pair)) for pair in pairs]
    assert len({one[0] for one in expected}) == 2
    with paths_known():
        for _ in range(2):
            assert [(cls.isin(*pair), cls.isin_or_eq(*pair), cls.overlaps(*pair)) for pair in pairs] == expected
            assert [(cls().isin(*pair)) for pair in pairs] == [one[0] for one in expected]


def test_a_pair_is_compared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    compared, real = [], FileSystem.commonpath

    def common(paths: list[str]) -> str:
        compared.append(paths)
        return str(real(paths))

    monkeypatch.setattr(FileSystem, "commonpath", common)
    with paths_known():
        assert [LocalFileSystem.isin("/a/b", "/a") for _ in range(3)] == [True] * 3
    assert compared == [["/a/b", "/a"]]
    assert LocalFileSystem.isin("/a/b", "/a")
    assert len(compared) == 2


def test_outputs_of_a_repository_and_others(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    outside = str(project.root.parent / "x")
    deps = ["in", "sub/in", outside, "../x", "s3://bucket/x", "remote://there/x"]
    project.run("dvc", "remote", "add", "there", "/nowhere")
    stage = {"cmd": "true", "deps": deps, "outs": ["out"]}
    project.write({"dvc.yaml": json.dumps({"stages": {"a": stage}})})

    def known() -> list[bool]:
        with Repo() as repo:
            (stage,) = repo.index.stages
            return [bool(one.is_in_repo) for one in [*stage.deps, *stage.outs]]

    expected = known()
    assert expected == [True, True, False, False, False, False, True]
    with paths_known():
        assert [known(), known()] == [expected] * 2
    assert isinstance(Output.is_in_repo, property)
