"""Why DVC would run a stage."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from dvc.dependency import ParamsDependency

from flows.lockfile import has_entry
from flows.options import Change

NOTHING: Mapping[str, Any] = MappingProxyType({})


def changes(stage: Any, coming: Mapping[str, Any] = NOTHING) -> list[Change]:
    """What makes the stage run, given what dependencies at the paths in `coming` will be."""
    if stage.cmd and (stage.is_callback or stage.always_changed):
        return [Change("always", "it runs every time")]
    if not has_entry(stage):
        return [Change("new", "it is in no dvc.lock yet")]
    found = [Change("command", "its command changed")] if stage.changed_stage() else []
    for dep in [] if stage.frozen else stage.deps:
        if isinstance(dep, ParamsDependency):
            old, new = dep.hash_info.value or {}, dep.read_params()
            names = dict.fromkeys([*dep.params, *old]) if dep.params else dict.fromkeys([*old, *new])
            found += [Change("parameter", n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]
        elif dep.fs_path in coming:
            if dep.hash_info != coming[dep.fs_path][0]:
                found.append(Change("dependency", str(dep), new="modified"))
        else:
            found += [Change("dependency", name, new=state) for name, state in dep.status().items()]
    return found + [Change("output", name, new=state) for out in stage.outs for name, state in out.status().items()]
