"""DVC's run-cache, where DVC records which outputs came of which dependencies: what it holds, and restoring from it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.stage.cache import RunCacheNotFoundError, _can_hash, _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc_data.hashfile.meta import Meta

UNHASHED = {Meta.PARAM_SIZE, Meta.PARAM_NFILES}  # parameters of these names are in no key of DVC's
Known = list[tuple[Any, Any, Any]]  # a dependency, its hash, its size and number of files


def restore(stage: Any, remove: Callable[[], None], run_cache: bool, pull: bool) -> bool:
    """Take the stage's outputs from the cache; returns whether they are there.

    `remove` is called before they are put in place, to clear the outputs of before; it is not called if they are not
    in the cache.
    """
    cache = stage.repo.stage_cache
    try:
        with _before_checkout(cache, remove):
            cache.restore(stage, run_cache=run_cache, pull=pull)
    except RunCacheNotFoundError:
        return False
    return True


def fits(stage: Any, entry: Any) -> bool:
    """Whether a record with the stage's key is of exactly the stage's parameters, as last saved.

    DVC's key leaves out parameters called `size` or `nfiles` below a section (its issue 10296), and so takes outputs
    of another value. So does the record's name: of two values with the same outputs only the first is recorded.
    """
    if entry is None:
        return False
    ours, theirs = (json.dumps(one.get("params"), sort_keys=True) for one in (to_single_stage_lockfile(stage), entry))
    return ours == theirs


def known(stage: Any) -> Known:
    """What dvc.lock says of the dependencies, to be kept before DVC overwrites it with hashes of its own."""
    hashed = (dep for dep in stage.deps if hasattr(dep, "hash_info"))  # not a dependency in a database
    return [(dep, dep.hash_info, getattr(dep, "meta", None)) for dep in hashed]


def put_back(before: Known) -> None:
    """Set the dependencies back to what `known` returned."""
    for dep, hash_info, meta in before:
        dep.hash_info = hash_info
        if hasattr(dep, "meta"):
            dep.meta = meta


def takes(stage: Any) -> bool:
    """Whether DVC would record a run of the stage."""
    return bool(_can_hash(stage))


def names(stage: Any) -> tuple[str, str]:
    """The key and the value of the record of the stage as it stands: hashes of what it reads, and of all of it."""
    entry = to_single_stage_lockfile(stage)
    value = str(_get_cache_hash(entry))
    return str(_get_cache_hash(entry, key=True)), value  # the second call changes the entry


def knows(stage: Any) -> bool:
    """Whether this very run of the stage, as it stands, is recorded."""
    path = Path(stage.repo.stage_cache._get_cache_path(*names(stage)))
    return all(out.use_cache for out in stage.outs) and path.exists()


def recorded(stage: Any) -> bool:
    """Whether the record that was just saved of the stage would be taken for it later."""
    if not _any_unhashed(to_single_stage_lockfile(stage).get("params")):
        return True  # and no file is read again
    return fits(stage, stage.repo.stage_cache._load_cache(*names(stage)))


def foreseen(stage: Any, coming: Mapping[str, Any]) -> dict[str, Any] | None:
    """Hash and size of each output, by path, if a record of such a run is in the cache; changes nothing.

    `coming` is what dependencies will be, by path, as this function returns it of other stages.
    """
    before = known(stage)
    try:
        for dep in stage.deps:
            if dep.fs_path in coming:
                dep.hash_info, dep.meta = coming[dep.fs_path]
            else:
                dep.save()
        return _recorded_outputs(stage)
    except (OSError, DvcException):  # a dependency is not there
        return None
    finally:
        put_back(before)


def _any_unhashed(params: Any) -> bool:
    """Whether any parameter has a name that DVC's key leaves out."""
    if isinstance(params, dict):
        return not UNHASHED.isdisjoint(params) or any(map(_any_unhashed, params.values()))
    return isinstance(params, list) and any(map(_any_unhashed, params))


def _newest(stage: Any) -> Any:
    """The record that DVC would load for the stage, of those that fit."""
    cache, (key, _) = stage.repo.stage_cache, names(stage)
    # Not a record that another process is writing, or was killed at.
    paths = [path for path in Path(cache._get_cache_dir(key)).glob("*") if len(path.name) == len(key)]
    paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    entries = (cache._load_cache(key, path.name) for path in paths)
    return next((entry for entry in entries if entry is None or fits(stage, entry)), None)


@contextmanager
def _before_checkout(cache: Any, action: Callable[[], None]) -> Iterator[None]:
    """Let DVC see only records that fit, and call `action` after DVC found one and before it places the outputs."""
    create = cache._create_stage

    def created(*args: Any, **kwargs: Any) -> Any:
        found = create(*args, **kwargs)
        checkout = found.checkout

        def acted(**options: Any) -> Any:
            action()
            return checkout(**options)

        found.checkout = acted
        return found

    cache._create_stage, cache._load = created, _newest
    try:
        yield
    finally:
        del cache._create_stage, cache._load


def _recorded_outputs(stage: Any) -> dict[str, Any] | None:
    if not stage.deps or not stage.outs or stage.always_changed or any(out.persist for out in stage.outs):
        return None
    found = _newest(stage)
    if found is None:
        return None
    restored = stage.repo.stage_cache._create_stage(found, wdir=stage.wdir)
    return {out.fs_path: (out.hash_info, out.meta) for out in restored.outs} if restored.outs_cached() else None
