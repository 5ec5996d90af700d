"""DVC's checks of dvc.yaml find the same as without."""

import random
from typing import Any

import dvc.repo.graph
import networkx as nx  # type: ignore[import-untyped]
import pytest
from dvc.exceptions import CyclicGraphError
from dvc.repo import Repo
from dvc.stage.loader import StageLoader
from dvc.utils.strictyaml import YAMLValidationError

from gliaflow.memo.graph import loaded_once, quick
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


@pytest.mark.parametrize("seed", range(50))
def test_the_part_of_a_graph_is_the_one_that_dvc_finds(seed: int) -> None:
    chance = random.Random(seed)
    graph = nx.gnp_random_graph(chance.randrange(1, 30), 0.1, seed=seed, directed=True)
    sources = chance.sample(list(graph), chance.randrange(min(4, len(graph)) + 1))
    for downstream in (False, True):
        real = dvc.repo.graph.get_subgraph_of_nodes(graph, sources, downstream)
        with quick():
            found = dvc.repo.graph.get_subgraph_of_nodes(graph, sources, downstream)
        assert set(found) == set(real)
        assert set(found.edges) == set(real.edges)
        assert (found is graph) == (not sources)


def test_each_stage_is_made_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    several = {"foreach": ["x", "y"], "do": stage(outs=["${item}.txt"])}
    project.pipeline({"a": stage(outs=["a.txt"]), "c": several})
    project.pipeline({"deep": stage(outs=["d.txt"])}, "sub/dvc.yaml")
    project.write({"data": "", "sub/more": ""})
    project.dvc("add", "-q", "data", "sub/more")
    made, real = [], StageLoader.load_stage

    def load(_: Any, file: Any, name: str, *arguments: Any) -> Any:
        made.append(name)
        return real(file, name, *arguments)

    monkeypatch.setattr(StageLoader, "load_stage", classmethod(load))
    with Repo(str(project.root)) as repo, loaded_once():
        targets = ["dvc.yaml", "a", "c", "c@x", "sub/dvc.yaml:deep", "data.dvc", "sub/more.dvc"]
        found = [one.addressing for target in targets for one in repo.stage.collect(target)]
        assert found == ["a", "c@x", "c@y", "a", "c@x", "c@y", "c@x", "sub/dvc.yaml:deep", "data.dvc", "sub/more.dvc"]
        stages = {one.addressing: one for one in repo.index.stages}
        assert stages["a"] is repo.stage.collect("a")[0]
    assert sorted(made) == ["a", "c@x", "c@y", "deep"]
    with Repo(str(project.root)) as repo:
        assert repo.stage.collect("a")[0] is not repo.stage.collect("a")[0]
