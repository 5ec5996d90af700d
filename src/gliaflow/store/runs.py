"""DVC's run-cache, where DVC records which outputs came of which dependencies: what it holds, and restoring from it."""

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import dvc.utils.serialize as serialize
from dvc.dependency import ParamsDependency
from dvc.exceptions import DvcException
from dvc.stage.cache import RunCacheNotFoundError, _can_hash, _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile
from dvc_data.hashfile.meta import Meta
from dvc_objects.fs.utils import tmp_fname

UNHASHED = {Meta.PARAM_SIZE, Meta.PARAM_NFILES}  # parameters of these names are in no key of DVC's
NAMED = re.compile(rb"path: ([\w./-]+)$", re.MULTILINE)  # paths in a record that YAML need not quote
PLAIN = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)  # a path that it writes as it is
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


def may_take(stage: Any) -> bool:
    """What `takes` asks of a stage, but for the hashes of what it reads."""
    plain = all(dep.protocol == "local" and dep.def_path for dep in stage.deps) and all(
        out.protocol == "local" and out.def_path and out.is_in_repo and not out.persist for out in stage.outs
    )
    return bool(stage.cmd and stage.deps and stage.outs) and not stage.always_changed and plain


def names(stage: Any) -> tuple[str, str]:
    """The key and the value of the record of the stage as it stands: hashes of what it reads, and of all of it."""
    return _names(to_single_stage_lockfile(stage))


def _names(entry: Any) -> tuple[str, str]:
    return str(_get_cache_hash({**entry}, key=True)), str(_get_cache_hash(entry))  # the first changes what it is given


def knows(stage: Any) -> bool:
    """Whether this very run of the stage, as it stands, is recorded."""
    path = Path(stage.repo.stage_cache._get_cache_path(*names(stage)))
    return all(out.use_cache for out in stage.outs) and path.exists()


def save(stage: Any) -> None:
    """Record the run of a stage which it `takes`, as it stands; what is recorded already stays."""
    cache, odb = stage.repo.stage_cache, stage.repo.cache.legacy
    entry = to_single_stage_lockfile(stage)
    path = Path(cache._get_cache_path(*_names(entry)))
    if path.exists() or not all(out.use_cache for out in stage.outs):
        cache.save(stage)  # which looks whether it is whole, and puts into the cache what git keeps
        return
    odb.makedirs(str(path.parent))
    partial = Path(odb.path, tmp_fname())  # what lies in the folder of a key is a record to DVC, also after a kill
    serialize.dump_yaml(str(partial), entry)
    odb.move(str(partial), str(path))


def recorded(stage: Any) -> bool:
    """Whether the record that was just saved of the stage would be taken for it later."""
    read = any(isinstance(dep, ParamsDependency) for dep in stage.deps)
    if not read or not _any_unhashed(to_single_stage_lockfile(stage).get("params")):
        return True  # and no file is read again
    return fits(stage, stage.repo.stage_cache._load_cache(*names(stage)))


def foreseen(
    stage: Any, coming: Mapping[str, Any], same: bool = False, run_cache: bool = True
) -> dict[str, Any] | None:
    """Hash and size of each output, by path, if DVC would take them from the cache; changes nothing.

    `coming` is what dependencies will be, by path, as this function returns it of other stages. `same` tells that the
    stage and all that it reads are as dvc.lock says: then its entry counts, with or without the run-cache.
    """
    made = entry_for(stage, coming, same, run_cache)
    return {out.fs_path: (out.hash_info, out.meta) for out in made.outs} if made and made.outs_cached() else None


def entry_for(stage: Any, coming: Mapping[str, Any], same: bool, run_cache: bool) -> Any:
    """A stage with the outputs that `foreseen` finds, whether the cache holds them or not; or None."""
    before = known(stage)
    try:
        if not may_take(stage):
            return None
        if same and all(out.hash_info for out in stage.outs):
            return _of_entry(stage, to_single_stage_lockfile(stage))
        if not run_cache:
            return None
        for dep in stage.deps:
            if dep.fs_path in coming and not isinstance(dep, ParamsDependency):
                dep.hash_info, dep.meta = coming[dep.fs_path]
            else:
                dep.save()
        found = _newest(stage)
        return _of_entry(stage, found) if found else None
    except (OSError, DvcException):  # a dependency is not there
        return None
    finally:
        put_back(before)


def _any_unhashed(params: Any) -> bool:
    """Whether any parameter has a name that DVC's key leaves out."""
    if isinstance(params, dict):
        return not UNHASHED.isdisjoint(params) or any(map(_any_unhashed, params.values()))
    return isinstance(params, list) and any(map(_any_unhashed, params))


def folder(stage: Any) -> Path | None:
    """Where records lie of runs that read what the stage reads as it stands; None if DVC records none."""
    return Path(stage.repo.stage_cache._get_cache_dir(names(stage)[0])) if takes(stage) else None


def records(folder: Path | None) -> list[Path]:
    """The records in a folder, the newest first."""
    # Not a record that another process is writing, or was killed at.
    found = [path for path in folder.glob("*") if len(path.name) == len(folder.name)] if folder else []
    return sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)


class Records:
    """All runs that the run-cache knows, read when they are first asked for."""

    def __init__(self, repo: Any) -> None:
        self._cache = repo.stage_cache
        self._by_path: dict[str, list[tuple[Path, bytes]]] | None = None

    def may_give(
        self, stage: Any, hashes: Mapping[str, Any], same: bool, run_cache: bool, more: Collection[str]
    ) -> bool:
        """Whether `foreseen` may find a run, when of the dependencies only these `hashes` are known, by path.

        `same` tells that what is known of the stage is as dvc.lock says. `more` are the hashes of objects that the
        cache will have by then.
        """
        if not may_take(stage):
            return False
        found = []
        if same and all(out.hash_info for out in stage.outs):
            found.append(to_single_stage_lockfile(stage))
        if run_cache:
            read = {dep.def_path: hashes[dep.fs_path].value for dep in stage.deps if dep.fs_path in hashes}
            found += [entry for entry in self._entries(stage, read) if entry["cmd"] == stage.cmd]
        made = (_of_entry(stage, entry) for entry in found)
        return any(one.outs_cached() or any(out.hash_info.value in more for out in one.outs) for one in made)

    def _entries(self, stage: Any, read: Mapping[str, str]) -> Iterator[Any]:
        """Those of a stage that writes the same paths, and read this: path → hash."""
        outs = {out.def_path for out in stage.outs}
        for path, text in self._that_name(stage.outs[0].def_path):
            if all(value.encode() in text for value in read.values()):
                entry = self._cache._load_cache(path.parent.name, path.name) or {}
                theirs = {dep["path"]: dep.get("md5", dep.get("hash")) for dep in entry.get("deps", [])}
                same = all(theirs.get(name) == value for name, value in read.items())
                if same and {out["path"] for out in entry.get("outs", [])} == outs:
                    yield entry

    def _that_name(self, out: str) -> list[tuple[Path, bytes]]:
        if self._by_path is None:
            self._by_path = {"": []}
            for path in Path(self._cache.cache_dir).glob("*/*/*"):
                if len(path.name) == len(path.parent.name):  # not one that another process is writing
                    with suppress(OSError):
                        one = (path, path.read_bytes())
                        for name in {"", *map(bytes.decode, NAMED.findall(one[1]))}:
                            self._by_path.setdefault(name, []).append(one)
        return self._by_path.get(out if PLAIN.fullmatch(out) else "", [])


def _newest(stage: Any) -> Any:
    """The record that DVC would load for the stage, of those that fit."""
    entries = (stage.repo.stage_cache._load_cache(path.parent.name, path.name) for path in records(folder(stage)))
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


def _of_entry(stage: Any, entry: Any) -> Any:
    """A stage with the outputs of the entry."""
    return stage.repo.stage_cache._create_stage(entry, wdir=stage.wdir)
