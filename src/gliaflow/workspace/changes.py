"""Why DVC would run a stage."""

from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException

from gliaflow.core.explain import ABSENT
from gliaflow.workspace.lockfile import has_entry
from gliaflow.core.options import Change

NOTHING: Mapping[str, Any] = MappingProxyType({})


def changes(stage: Any, coming: Mapping[str, Any] = NOTHING) -> list[Change]:
    """What makes the stage run, given what dependencies at the paths in `coming` will be.

    Like DVC it looks at outputs only if nothing else changed; what cannot be looked at is left out.
    """
    if stage.cmd and (stage.is_callback or stage.always_changed):
        return [Change("always", "it runs every time")]
    if not has_entry(stage):
        return [Change("new", "it is in no dvc.lock yet")]
    found = [Change("command", "its command changed")] if stage.changed_stage() else []
    for dep in [] if stage.frozen else stage.deps:
        with suppress(OSError, DvcException):
            found += _of_dependency(dep, coming)
    for out in [] if found else stage.outs:
        with suppress(OSError, DvcException):
            found += [Change("output", name, new=state) for name, state in out.status().items()]
    return found


def _of_dependency(dep: Any, coming: Mapping[str, Any]) -> list[Change]:
    if isinstance(dep, ParamsDependency):
        old, new = dep.hash_info.value or {}, dep.read_params()
        names = dict.fromkeys([*dep.params, *old]) if dep.params else dict.fromkeys([*old, *new])
        both = ((name, old.get(name, ABSENT), _as_recorded(new.get(name, ABSENT))) for name in names)
        # One that is nowhere is a change as well: DVC fails for it.
        return [Change("parameter", *one) for one in both if one[1] != one[2] or one[2] is ABSENT]
    if dep.fs_path in coming:
        changed = dep.hash_info != coming[dep.fs_path][0]
        return [Change("dependency", str(dep), new="modified")] if changed else []
    return [Change("dependency", name, new=state) for name, state in dep.status().items()]


def _as_recorded(value: Any) -> Any:
    """A tuple, which a parameter in a Python file may be, is a list in dvc.lock."""
    return list(value) if isinstance(value, tuple) else value
