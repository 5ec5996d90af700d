"""Why DVC would run a stage, and what its run-cache would give in place of it."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.stage.cache import _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile

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


def restorable(stage: Any, coming: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the outputs would be, by path, if a record of such a run is in the cache; changes nothing."""
    before = [(dep, dep.hash_info, dep.meta) for dep in stage.deps]
    try:
        for dep in stage.deps:
            if dep.fs_path in coming:
                dep.hash_info, dep.meta = coming[dep.fs_path]
            else:
                dep.save()
        return _recorded(stage)
    except (OSError, DvcException):  # a dependency is not there
        return None
    finally:
        for dep, hash_info, meta in before:
            dep.hash_info, dep.meta = hash_info, meta


def _recorded(stage: Any) -> dict[str, Any] | None:
    if not stage.deps or not stage.outs or stage.always_changed or any(out.persist for out in stage.outs):
        return None
    cache, key = stage.repo.stage_cache, _get_cache_hash(to_single_stage_lockfile(stage), key=True)
    entries = sorted(Path(cache._get_cache_dir(key)).glob("*"), key=lambda path: path.stat().st_mtime)
    found = cache._load_cache(key, entries[-1].name) if entries else None
    if found is None:
        return None
    restored = cache._create_stage(found, wdir=stage.wdir)
    return {out.fs_path: (out.hash_info, out.meta) for out in restored.outs} if restored.outs_cached() else None
