"""DVC's run-cache on a remote: the records of runs, and with them the objects that they name.

`dvc push --run-cache` sends all records but only the objects of the current dvc.lock, so that what a teammate finds is
mostly names of what is not there. Here objects go first and a record follows once all of its own are on the remote.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dvc.config import NoRemoteError, RemoteConfigError
from dvc.fs import HTTPFileSystem
from dvc.stage.cache import _get_cache_hash
from dvc.utils.collections import ensure_list
from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.utils import tmp_fname

from gliaflow.errors import TransientError, UserError, one_line
from gliaflow.store import files as depot

T = TypeVar("T")
LEGACY = "md5-dos2unix"  # the name of the store beside which DVC keeps its records
MEND = "`gliaflow push --verify` mends it from where it is whole"


class Record(NamedTuple):
    """One run: what it read, as a hash, and what came of it."""

    key: str
    value: str


@dataclass
class Sent:
    """What was copied, and what could not be."""

    records: int = 0
    objects: int = 0
    lacking: dict[Record, list[str]] = field(default_factory=dict)  # objects that are nowhere, or are damaged
    gone: set[Record] = field(default_factory=set)  # of `lacking`, those that lack only what nobody has: `dvc gc`


class Remote:
    """The remote of that name, or the default one; every object that comes from it is hashed again.

    Raises:
        UserError: there is none, it cannot be listed and must be, or it refuses.
        TransientError: it cannot be reached.
    """

    def __init__(
        self, repo: Any, name: str | None = None, jobs: int | None = None, say: Callable[[str], None] = print
    ) -> None:
        self._repo, self._name, self._jobs, self._say = repo, name, jobs, say
        self._damaged = set[str]()  # objects, here or there, that were seen to be
        verify(repo, say)
        try:
            self._there = repo.cloud.get_remote_odb(name, "push", hash_name=LEGACY)
            self._files = repo.cloud.get_remote_odb(name, "push")
        except (NoRemoteError, RemoteConfigError) as error:
            raise UserError(one_line(error)) from error
        self._here = repo.cache.legacy

    @property
    def keeps_runs(self) -> bool:
        """Whether it can be listed, and so keep a run-cache; all others only give objects by name."""
        return not isinstance(self._there.fs, HTTPFileSystem)

    def records(self, key: str | None = None) -> set[Record]:
        """The records that are there; with `key`, those of it."""
        self._must_list()
        with depot.reached(self._there):
            self._there.fs.fs.invalidate_cache()  # what others sent since this process listed it
            return set(_records(self._there, key))

    def away(self, objects: Iterable[Any], every: bool = False) -> set[Any]:
        """Those that are not on the remote, or not whole there.

        That is hashed only where the size is another than here; with `every`, always, which reads all of them.
        """
        self._must_list()
        found = set()
        with depot.reached(self._there):
            for here, there, named in self._stores(objects):
                sizes = depot.sizes(there, named, self._jobs)
                doubtful = [
                    oid for oid in named if oid in sizes and (every or _size(here, oid, sizes[oid]) != sizes[oid])
                ]
                if every and doubtful:
                    self._say(f"hashing {len(doubtful)} objects of the remote")
                fine = depot.each(there, self._jobs, partial(depot.whole, there), doubtful)
                bad = {oid for oid, is_whole in zip(doubtful, fine, strict=True) if not is_whole}
                self._damaged |= bad
                found |= {one for oid, one in named.items() if oid not in sizes or oid in bad}
        return found

    def push(self, records: Iterable[Record] | None = None, every: bool = False) -> Sent:
        """Send records, by default all of this cache, that are not there yet, each after its objects.

        An object that is there in another size than here is sent again, if it is whole here. With `every` so are all
        objects and records that do not hash to their names, those of records that are there and of dvc.lock included.
        Runs of a stage that keeps an output to itself (`push: false`) stay here.

        Raises:
            UserError: one of the `records` is such a run.
        """
        wanted = set(_records(self._here) if records is None else records)
        there = self.records()
        if every:
            there -= self._half(wanted & there)
        private = self._private(wanted if every else wanted - there)
        for record in sorted(private) if records is not None else ():
            raise UserError(f"run {record.value[:12]} has an output that says `push: false`: it cannot go to a remote")
        wanted -= private
        broken = {one for one in (wanted if every else wanted - there) if not _is(one, Path(_path(self._here, one)))}
        for record in sorted(broken):
            path = _path(self._here, record)
            self._say(f"run {record.value[:12]} is damaged in this cache, and is not sent: delete {path}")
        wanted -= broken
        new = sorted(wanted - there)
        needed = self._needed(wanted if every else new)
        used = self._repo.used_objs(remote=self._name, force=True, push=True).get(None, set()) if every else set()
        away = self.away(set(used).union(*needed.values()), every)
        nowhere = (away - self._send_objects(away)) | self._unlisted(needed)
        whole = {record for record, objects in needed.items() if objects and nowhere.isdisjoint(objects)}
        unsent = self._send_records([record for record in new if record in whole])
        lacking = {r: sorted({o.value for o in needed[r] & nowhere}) for r in needed if r not in whole}
        lost = {one for one in nowhere & away if one.value not in self._damaged and not self._has(one)}
        gone = {r for r in lacking if needed[r] and needed[r] & nowhere <= lost}
        lacking |= {r: [r.value] for r in [*unsent, *broken]}
        return Sent(len(whole & set(new)) - len(unsent), len(away - nowhere), lacking, gone)

    def fetch(self, records: Iterable[Record] | None = None) -> Sent:
        """Fetch records, by default all that are there and not here, without their objects."""
        self._must_list()
        wanted = self.records() if records is None else set(records)
        new = sorted(wanted - set(_records(self._here)))
        if new:
            self._say(f"fetching {len(new)} records of runs")
        with depot.reached(self._there):
            fine = depot.each(self._there, self._jobs, self._download, new)
        damaged = {record: [record.value] for record, whole in zip(new, fine, strict=True) if not whole}
        return Sent(len(new) - len(damaged), 0, damaged)

    def fetch_objects(self, records: Iterable[Record]) -> Sent:
        """Fetch the objects that records of this cache name."""
        needed = self._needed(records)
        missing = {one for objects in needed.values() for one in objects if not self._has(one)}
        nowhere = set[Any]()
        if missing:
            self._say(f"fetching {len(missing)} objects")
            nowhere = self.take(missing)
        lacking = {record: sorted({one.value for one in objects & nowhere}) for record, objects in needed.items()}
        return Sent(0, len(missing - nowhere), {r: names for r, names in lacking.items() if names or not needed[r]})

    def give(self, objects: Mapping[Any, T]) -> list[T]:
        """Send objects that are not there yet; what they are `of`, for those that are in no cache.

        Raises:
            TransientError: the remote did not take all.
        """
        away = self.away(objects)
        nowhere = [objects[one] for one in away if not self._has(one)]
        if not nowhere and away - self._send_objects(away):
            raise TransientError("the remote did not take all objects")
        return nowhere

    def take(self, objects: Iterable[Any]) -> set[Any]:
        """Fetch objects; those that stayed away, missing or damaged."""
        objects = set(objects)
        with depot.reached(self._there):
            result = self._repo.cloud.pull(objects, jobs=self._jobs, remote=self._name)
        if result.failed:
            self._say(f"{len(result.failed)} objects could not be fetched; fetch again for the rest")
        return {one for one in objects if not self._has(one)}

    def _must_list(self) -> None:
        if not self.keeps_runs:
            raise UserError(f"a remote over HTTP cannot be listed, and only `get` takes from it: {self._there.path}")

    def _stores(self, objects: Iterable[Any]) -> Iterator[tuple[Any, Any, dict[str, Any]]]:
        """The objects by where they lie: here, there, and hash → object."""
        for here, there in ((self._repo.cache.local, self._files), (self._here, self._there)):
            named = {one.value: one for one in objects if (one.name == LEGACY) == (there is self._there)}
            if named:
                yield here, there, named

    def _needed(self, records: Iterable[Record]) -> dict[Record, set[Any]]:
        """What each record names, with all that lies in its folders; listings that are not here are fetched."""
        outs = {record: self._outs(record) for record in sorted(records)}
        listings = {out.hash_info for found in outs.values() for out in found if out.hash_info.isdir}
        away = {one for one in listings if not self._has(one)}
        if away:
            self.take(away)
        needed = {record: {out.hash_info for out in found} for record, found in outs.items()}
        for record, found in outs.items():
            for out in found:
                if not out.hash_info.isdir or self._has(out.hash_info):  # else DVC asks, and then gives up
                    needed[record] |= set().union(*out.get_used_objs(remote=self._name).values())
        return needed

    def _outs(self, record: Record) -> list[Any]:
        """DVC's outputs of the run; none if the record cannot be read."""
        entry = self._repo.stage_cache._load_cache(*record)
        return list(self._repo.stage_cache._create_stage(entry).outs) if entry else []

    def _private(self, records: Iterable[Record]) -> set[Record]:
        """The runs that made what a stage of the workspace keeps to itself: no record says so, DVC sends them all."""
        outs = [out for out in self._repo.index.outs if not out.can_push]
        kept = {(*ensure_list(out.stage.cmd), out.def_path) for out in outs}
        made = {r: {(*ensure_list(o.stage.cmd), o.def_path) for o in self._outs(r)} for r in records} if kept else {}
        return {record for record, found in made.items() if not kept.isdisjoint(found)}

    def _has(self, one: Any) -> bool:
        """Whether an object is here, as DVC judges it, which drops what is damaged unless it is write-protected."""
        try:
            cache_of(self._repo, one).check(one.value)
            return True
        except FileNotFoundError:
            return False
        except ObjectFormatError:
            self._damaged.add(one.value)
            self._say(f"object {one.value} was damaged in this cache, and is dropped")
            return False

    def _unlisted(self, needed: dict[Record, set[Any]]) -> set[Any]:
        """The listings that are not here, so that nobody knows what lies in their folders."""
        return {one for objects in needed.values() for one in objects if one.isdir and not self._has(one)}

    def _send_objects(self, objects: set[Any]) -> set[Any]:
        """Send those that are here and whole; which were."""
        sent = set()
        for here, there, named in self._stores(objects):
            having = sorted(oid for oid, one in named.items() if self._has(one))
            fine = depot.each(there, self._jobs, partial(depot.whole, here), having)
            for oid in (oid for oid, whole in zip(having, fine, strict=True) if not whole):
                self._damaged.add(oid)
                self._say(f"object {oid} is damaged in this cache, and is not sent")
            paths = {here.oid_to_path(o): there.oid_to_path(o) for o, whole in zip(having, fine, strict=True) if whole}
            if paths:
                self._say(f"pushing {len(paths)} objects")
            failed = self._send(there, paths)
            sent |= {one for oid, one in named.items() if here.oid_to_path(oid) in paths.keys() - failed.keys()}
        return sent

    def _send_records(self, records: list[Record]) -> list[Record]:
        """Send them; which were not."""
        if records:
            self._say(f"pushing {len(records)} records of runs")
        paths = {_path(self._here, record): _path(self._there, record) for record in records}
        failed = self._send(self._there, paths)
        return [record for record in records if _path(self._here, record) in failed]

    def _send(self, odb: Any, paths: dict[str, str]) -> dict[str, BaseException]:
        with depot.reached(odb):
            failed = depot.send(odb, paths, self._jobs)
            if paths and len(failed) == len(paths):
                raise next(iter(failed.values()))
        if failed:
            reason = depot.said(next(iter(failed.values())))
            self._say(f"{len(failed)} could not be sent ({reason}); push again for the rest")
        return failed

    def _half(self, records: set[Record]) -> set[Record]:
        """Those of the records that are not what they should be on the remote."""
        with tempfile.TemporaryDirectory() as folder, depot.reached(self._there):
            some = sorted(records)
            into = Path(folder)
            fine = depot.each(self._there, self._jobs, lambda r: self._get(r, into / r.value), some)
        return {record for record, is_whole in zip(some, fine, strict=True) if not is_whole}

    def _download(self, record: Record) -> bool:
        target = Path(_path(self._here, record))
        coming = target.parent.with_name(tmp_fname())  # whatever lies in the folder of a key is a record to DVC
        coming.parent.mkdir(parents=True, exist_ok=True)
        try:
            whole = self._get(record, coming)
            if whole:
                target.parent.mkdir(exist_ok=True)
                coming.replace(target)
            return whole
        finally:
            coming.unlink(missing_ok=True)

    def _get(self, record: Record, target: Path) -> bool:
        """Copy a record from the remote; whether it is the one that its name says."""
        self._there.fs.get_file(_path(self._there, record), str(target))
        return _is(record, target)


def verify(repo: Any, say: Callable[[str], None] = print) -> None:
    """Have DVC hash whatever comes from a remote, and name what is damaged.

    One that was killed while it pushed may have left half of a file, and disks forget.
    """
    cloud = repo.cloud
    if "get_remote" in vars(cloud):
        return  # done already
    get_remote = cloud.get_remote

    def verifying(*args: Any, **kwargs: Any) -> Any:
        found = get_remote(*args, **kwargs)
        found.config["verify"] = True  # not in repo.config: DVC reads that anew whenever it looks at a stage
        return found

    cloud.get_remote = verifying
    told = set()

    def tell(oid: str) -> None:
        if oid not in told:  # DVC tries more than once
            told.add(oid)
            say(f"object {oid} is damaged on the remote; {MEND}")

    for cache in (repo.cache.local, repo.cache.legacy):
        depot.tell_damaged(cache, tell)


def cache_of(repo: Any, one: Any) -> Any:
    """The cache of this machine that an object belongs in."""
    return repo.cache.legacy if one.name == LEGACY else repo.cache.local


def _is(record: Record, path: Path) -> bool:
    """Whether the file is the record of that name, which is its hash."""
    try:
        entry = load_yaml(str(path))
        return bool(_get_cache_hash(entry) == record.value) and bool(_get_cache_hash(entry, key=True) == record.key)
    except (FileNotFoundError, YAMLFileCorruptedError, KeyError, TypeError, AttributeError, ValueError):
        return False


def _size(odb: Any, oid: str, default: int) -> int:
    """That of an object here, or, where there is none to compare with, the default."""
    path = Path(odb.oid_to_path(oid))
    return path.stat().st_size if path.exists() else default


def _path(odb: Any, record: Record) -> str:
    return str(odb.fs.join(odb.path, "runs", record.key[:2], *record))


def _records(odb: Any, key: str | None = None) -> Iterator[Record]:
    folder = odb.fs.join(odb.path, "runs", *([key[:2], key] if key else []))
    for path in odb.fs.find(folder):
        *_, found, value = odb.fs.parts(path)
        if len(value) == len(found):  # not what somebody writes just now
            yield Record(found, value)
