"""Checks of dvc.yaml whose cost in DVC grows faster than the work: its schemas, and the search for a cycle."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import dvc.dvcfile
import dvc.repo.graph
import dvc.schema
from dvc.dvcfile import ProjectFile
from dvc.stage.loader import StageLoader


@contextmanager
def quick() -> Iterator[None]:
    """Inside the block DVC compiles each schema of a stage once, and looks at each stage of a graph once.

    It looks for a cycle only where there is one.
    """
    graphs, voluptuous = dvc.repo.graph, dvc.schema.vol
    find, subgraph = graphs.check_acyclic, graphs.get_subgraph_of_nodes
    compiled: dict[int, Any] = {}

    def schema(definition: Any, *args: Any, **options: Any) -> Any:
        if args or options or not isinstance(definition, dict):
            return voluptuous.Schema(definition, *args, **options)
        if id(definition) not in compiled:  # those of DVC's module, which live as long as it does
            compiled[id(definition)] = voluptuous.Schema(definition)
        return compiled[id(definition)]

    def check_acyclic(graph: Any) -> None:
        if _has_cycle(graph):
            find(graph)

    graphs.check_acyclic, graphs.get_subgraph_of_nodes = check_acyclic, _reachable
    dvc.schema.vol = SimpleNamespace(**{**vars(voluptuous), "Schema": schema})
    try:
        yield
    finally:
        graphs.check_acyclic, graphs.get_subgraph_of_nodes = find, subgraph
        dvc.schema.vol = voluptuous


@contextmanager
def loaded_once() -> Iterator[None]:
    """Inside the block DVC reads each dvc.yaml, and makes its stages, once for targets and graph."""
    load_file, make = dvc.dvcfile.load_file, StageLoader.__getitem__
    files: dict[str, Any] = {}
    stages: dict[tuple[str, str], Any] = {}

    def load(repo: Any, path: str, **options: Any) -> Any:
        place = os.path.abspath(path)  # noqa: PTH100 as DVC does
        if options or place not in files:
            found = load_file(repo, path, **options)
            if options or not isinstance(found, ProjectFile):
                return found
            files[place] = found
        return files[place]

    def made(loader: Any, name: str) -> Any:
        place = os.path.abspath(loader.dvcfile.path), name  # noqa: PTH100 as DVC does
        if place not in stages:
            stages[place] = make(loader, name)
        return stages[place]

    dvc.dvcfile.load_file, StageLoader.__getitem__ = load, made
    try:
        yield
    finally:
        dvc.dvcfile.load_file, StageLoader.__getitem__ = load_file, make


def _reachable(graph: Any, sources: list[Any] | None = None, downstream: bool = False) -> Any:
    """The part of a graph that can be reached from some stages; DVC begins anew at each of them."""
    if not sources:
        return graph
    following, found, left = graph.predecessors if downstream else graph.successors, set(sources), list(sources)
    while left:
        for one in following(left.pop()):
            if one not in found:
                found.add(one)
                left.append(one)
    return graph.subgraph(found)


def _has_cycle(graph: Any) -> bool:
    """Whether stages are left once each whose predecessors are gone has been taken away."""
    left = dict(graph.in_degree())
    ready = [stage for stage, number in left.items() if not number]
    taken = 0
    while ready:
        taken += 1
        for after in graph.successors(ready.pop()):
            left[after] -= 1
            if not left[after]:
                ready.append(after)
    return taken < len(left)
