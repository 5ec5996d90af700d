"""Checks of dvc.yaml whose cost in DVC grows faster than the work: its schemas, and the search for a cycle."""

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import dvc.repo.graph
import dvc.schema


@contextmanager
def quick() -> Iterator[None]:
    """Inside the block DVC compiles each schema of a stage once, and looks for a cycle only where there is one."""
    find, voluptuous = dvc.repo.graph.check_acyclic, dvc.schema.vol
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

    dvc.repo.graph.check_acyclic = check_acyclic
    dvc.schema.vol = SimpleNamespace(**{**vars(voluptuous), "Schema": schema})
    try:
        yield
    finally:
        dvc.repo.graph.check_acyclic, dvc.schema.vol = find, voluptuous


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
