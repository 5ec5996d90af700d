"""DVC's run-cache, where it records which outputs came of which dependencies: what is there, and taking it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.stage.cache import RunCacheNotFoundError, _can_hash, _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc_data.hashfile.meta import Meta

UNSEEN = {Meta.PARAM_SIZE, Meta.PARAM_NFILES}
Known = list[tuple[Any, Any, Any]]


def restore(stage: Any, remove: Callable[[], None], run_cache: bool, pull: bool) -> bool:
    """Take the outputs from the cache if they are there; only then `remove` those of before."""
    cache = stage.repo.stage_cache
    try:
        with _before_checkout(cache, remove):
            cache.restore(stage, run_cache=run_cache, pull=pull)
    except RunCacheNotFoundError:
        return False
    return True


def fits(stage: Any, entry: Any) -> bool:
    """Whether a record of the stage's key is of its very parameters, as last saved.

    DVC's key leaves out those called `size` or `nfiles` below a section (its issue 10296), and so takes what came of
    another value. So does the record's name, so that of two values with the same outputs only the first is recorded.
    """
    if entry is None:
        return False
    ours, theirs = (json.dumps(one.get("params"), sort_keys=True) for one in (to_single_stage_lockfile(stage), entry))
    return ours == theirs


def _unseen(params: Any) -> bool:
    """Whether a name is among them that DVC's key leaves out."""
    if isinstance(params, dict):
        return not UNSEEN.isdisjoint(params) or any(map(_unseen, params.values()))
    return isinstance(params, list) and any(map(_unseen, params))


def _newest(stage: Any) -> Any:
    """What DVC's cache would load for the stage, of those that fit."""
    cache, (key, _) = stage.repo.stage_cache, names(stage)
    # Not what somebody writes just now, or was killed at.
    paths = [path for path in Path(cache._get_cache_dir(key)).glob("*") if len(path.name) == len(key)]
    paths.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    entries = (cache._load_cache(key, path.name) for path in paths)
    return next((entry for entry in entries if entry is None or fits(stage, entry)), None)


@contextmanager
def _before_checkout(cache: Any, action: Callable[[], None]) -> Iterator[None]:
    """Have DVC look at records that fit alone, and act between its finding a stage and taking the outputs."""
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


def known(stage: Any) -> Known:
    """What dvc.lock says of the dependencies, before DVC hashes them into the same place."""
    hashed = (dep for dep in stage.deps if hasattr(dep, "hash_info"))  # not what a database holds
    return [(dep, dep.hash_info, getattr(dep, "meta", None)) for dep in hashed]


def put_back(before: Known) -> None:
    """Have the dependencies be as they were `known`."""
    for dep, hash_info, meta in before:
        dep.hash_info = hash_info
        if hasattr(dep, "meta"):
            dep.meta = meta


def takes(stage: Any) -> bool:
    """Whether DVC would record a run of the stage."""
    return bool(_can_hash(stage))


def names(stage: Any) -> tuple[str, str]:
    """Where a run such as the stage stands for is recorded: the hash of what it reads, and that of all of it."""
    entry = to_single_stage_lockfile(stage)
    value = str(_get_cache_hash(entry))
    return str(_get_cache_hash(entry, key=True)), value  # which changes the entry


def knows(stage: Any) -> bool:
    """Whether the very run that the stage stands for is recorded."""
    path = Path(stage.repo.stage_cache._get_cache_path(*names(stage)))
    return all(out.use_cache for out in stage.outs) and path.exists()


def recorded(stage: Any) -> bool:
    """Whether what was saved of the stage would be taken for it."""
    if not _unseen(to_single_stage_lockfile(stage).get("params")):
        return True  # and no file is read again
    return fits(stage, stage.repo.stage_cache._load_cache(*names(stage)))


def foreseen(stage: Any, coming: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the outputs would be, by path, if a record of such a run is in the cache; changes nothing."""
    before = known(stage)
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
        put_back(before)


def _recorded(stage: Any) -> dict[str, Any] | None:
    if not stage.deps or not stage.outs or stage.always_changed or any(out.persist for out in stage.outs):
        return None
    found = _newest(stage)
    if found is None:
        return None
    restored = stage.repo.stage_cache._create_stage(found, wdir=stage.wdir)
    return {out.fs_path: (out.hash_info, out.meta) for out in restored.outs} if restored.outs_cached() else None
