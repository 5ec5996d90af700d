"""DVC's checks of dvc.yaml find the same as without."""

from typing import Any

import pytest
from dvc.exceptions import CyclicGraphError
from dvc.repo import Repo
from dvc.utils.strictyaml import YAMLValidationError

from gliaflow.memo.graph import quick
from tests.support.repos import Project


def read(project: Project) -> list[str]:
    with Repo(str(project.root)) as repo:
        return sorted(stage.addressing for stage in repo.index.stages if repo.index.graph)


def stage(**more: Any) -> dict[str, Any]:
    return {"cmd": "true", "deps": ["in.txt"], **more}


def test_a_good_one(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    several = {"foreach": ["x", "y"], "do": stage(outs=["${item}.txt"])}
    project.pipeline({"a": stage(outs=["a.txt"]), "b": stage(deps=["a.txt"], outs=["b.txt"]), "c": several})
    with quick():
        assert read(project) == ["a", "b", "c@x", "c@y"]


@pytest.mark.parametrize(
    ("stages", "error"),
    [
        ({"a": stage(outs=3)}, YAMLValidationError),
        ({"a": stage(colour="red")}, YAMLValidationError),
        ({"a": {"foreach": 3, "do": stage()}}, YAMLValidationError),
        ({"a": stage(deps=["b.txt"], outs=["a.txt"]), "b": stage(deps=["a.txt"], outs=["b.txt"])}, CyclicGraphError),
    ],
)
def test_a_bad_one(
    project: Project, monkeypatch: pytest.MonkeyPatch, stages: dict[str, Any], error: type[Exception]
) -> None:
    monkeypatch.chdir(project.root)
    project.pipeline({"good": stage(outs=["good.txt"]), **stages})
    found = []
    for _ in range(2):
        with pytest.raises(error) as caught, quick():
            read(project)
        found.append(str(caught.value))
    with pytest.raises(error) as caught:
        read(project)
    assert found == [str(caught.value)] * 2
