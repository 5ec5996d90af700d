"""Records of runs, as DVC keeps them in its run-cache: where they lie, which are whole, what they name.

runs/<first two of key>/<key>/<value>    YAML, as the entry of a stage in dvc.lock
"""

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dvc.stage.cache import _get_cache_hash
from dvc.utils.collections import ensure_list
from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml
from dvc_objects.fs.utils import tmp_fname

from gliaflow.store import files
from gliaflow.store.objects import Objects, Stores

SHOWN = 12  # characters of a hash that a person gets to see


class Record(NamedTuple):
    """The name of one run's record."""

    key: str
    """The hash of what the run read."""
    value: str
    """The hash of the whole record: what the run read, and its outputs."""

    @property
    def short(self) -> str:
        """As a person sees it."""
        return self.value[:SHOWN]


def path_in(odb: Any, record: Record) -> str:
    """Where a record lies in a store."""
    return str(odb.fs.join(odb.path, "runs", record.key[:2], *record))


def listed(odb: Any, key: str | None = None) -> Iterator[Record]:
    """The records that a store holds; with `key`, those of this key alone."""
    folder = odb.fs.join(odb.path, "runs", *([key[:2], key] if key else []))
    for path in odb.fs.find(folder):
        *_, found, value = odb.fs.parts(path)
        if len(value) == len(found):  # else another process is writing it
            yield Record(found, value)


def is_whole(record: Record, path: Path) -> bool:
    """Whether the file at `path` is the record of that name, which is the hash of its content."""
    try:
        entry = load_yaml(str(path))
        return bool(_get_cache_hash(entry) == record.value) and bool(_get_cache_hash(entry, key=True) == record.key)
    except (FileNotFoundError, YAMLFileCorruptedError, KeyError, TypeError, AttributeError, ValueError):
        return False


def download(legacy: Stores, record: Record) -> bool:
    """Copy a record from the remote to this cache; returns False, and leaves nothing, if it is damaged there."""
    target = Path(path_in(legacy.here, record))
    coming = target.parent.with_name(tmp_fname())  # whatever lies in the folder of a key is a record to DVC
    coming.parent.mkdir(parents=True, exist_ok=True)
    try:
        whole = _get(legacy.there, record, coming)
        if whole:
            target.parent.mkdir(exist_ok=True)
            coming.replace(target)
        return whole
    finally:
        coming.unlink(missing_ok=True)


def damaged(odb: Any, records: Iterable[Record], jobs: int | None) -> set[Record]:
    """Those of the records that the store of a remote holds damaged; reads every byte of them."""
    suspects = sorted(records)
    with tempfile.TemporaryDirectory() as folder:
        fine = files.each(odb, jobs, lambda record: _get(odb, record, Path(folder, record.value)), suspects)
    return {record for record, whole in zip(suspects, fine, strict=True) if not whole}


def outs(repo: Any, record: Record) -> list[Any]:
    """DVC's outputs of a run whose record is in the cache; none if the record cannot be read."""
    entry = repo.stage_cache._load_cache(*record)
    return list(repo.stage_cache._create_stage(entry).outs) if entry else []


def named(objects: Objects, records: Iterable[Record]) -> dict[Record, set[Any]]:
    """The objects that each record of this cache names, with all that lies in its folders.

    A listing that is not here is fetched. What lies in a folder whose listing cannot be had is left out; `unlisted`
    tells.
    """
    found = {record: outs(objects.repo, record) for record in sorted(records)}
    listings = {out.hash_info for named in found.values() for out in named if out.hash_info.isdir}
    if missing := {one for one in listings if not objects.has(one)}:
        objects.fetch(missing)
    return {record: set[Any]().union(*(_objects_of(objects, out) for out in named)) for record, named in found.items()}


def unlisted(objects: Objects, runs: Mapping[Record, set[Any]]) -> set[Any]:
    """The listings that are not in the cache, so that nobody knows what lies in their folders."""
    return {one for found in runs.values() for one in found if one.isdir and not objects.has(one)}


def private(repo: Any, records: Iterable[Record]) -> set[Record]:
    """The runs with an output that a stage of the workspace keeps on this machine (`push: false`).

    No record says so, and DVC pushes them all. A run is matched by its command and the path of the output.
    """
    kept = {(*ensure_list(out.stage.cmd), out.def_path) for out in repo.index.outs if not out.can_push}
    if not kept:
        return set()
    names = {r: {(*ensure_list(out.stage.cmd), out.def_path) for out in outs(repo, r)} for r in records}
    return {record for record, found in names.items() if not kept.isdisjoint(found)}


def _objects_of(objects: Objects, out: Any) -> set[Any]:
    if out.hash_info.isdir and not objects.has(out.hash_info):
        return {out.hash_info}  # DVC would ask the remote again, and then give up
    return {out.hash_info}.union(*out.get_used_objs(remote=objects.name).values())


def _get(odb: Any, record: Record, target: Path) -> bool:
    """Copy a record from a remote to the file `target`; returns whether it is the one that its name says."""
    odb.fs.get_file(path_in(odb, record), str(target))
    return is_whole(record, target)
