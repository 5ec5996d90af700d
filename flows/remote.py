"""DVC's run-cache on a remote: the records of runs, and with them the objects that they name.

`dvc push --run-cache` sends all records but only the objects of the current dvc.lock, so that what a teammate finds is
mostly names of what is not there. Here objects go first and a record follows once all of its own are on the remote.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from dvc.config import NoRemoteError, RemoteConfigError
from dvc.fs import HTTPFileSystem
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import YAMLFileCorruptedError, load_yaml
from dvc_objects.fs.utils import tmp_fname

from flows.insist import insist
from stages.errors import TransientError, UserError

T = TypeVar("T")
LEGACY = "md5-dos2unix"  # the name of the store beside which DVC keeps its records


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


class Remote:
    """The remote of that name, or the default one; every object that comes from it is hashed again.

    Raises:
        UserError: there is none, or it cannot keep a run-cache.
    """

    def __init__(self, repo: Any, name: str | None = None, jobs: int | None = None) -> None:
        self._repo, self._name, self._jobs = repo, name, jobs
        verify(repo)
        try:
            self._there = repo.cloud.get_remote_odb(name, "push", hash_name=LEGACY)
        except (NoRemoteError, RemoteConfigError) as error:
            raise UserError(" ".join(str(error).split())) from error
        if isinstance(self._there.fs, HTTPFileSystem):
            raise UserError(f"a remote over HTTP keeps no run-cache: {self._there.path}")
        self._here = repo.cache.legacy

    def records(self, key: str | None = None) -> set[Record]:
        """The records that are there; with `key`, those of it."""
        return set(_records(self._there, key))

    def push(self, records: Iterable[Record] | None = None, say: Callable[[str], None] = print) -> Sent:
        """Send records, by default all of this cache, that are not there yet, each after its objects."""
        wanted = set(_records(self._here) if records is None else records)
        new = sorted(wanted - self.records())
        needed = {record: self._objects(record) for record in new}
        status = self._repo.cloud.status(set().union(*needed.values()), jobs=self._jobs, remote=self._name)
        nowhere = set(status.missing)
        if status.new:
            say(f"pushing {len(status.new)} objects")
            result = self._repo.cloud.push(set(status.new), jobs=self._jobs, remote=self._name)
            nowhere |= set(result.failed)
        whole = [record for record, objects in needed.items() if objects and nowhere.isdisjoint(objects)]
        if whole:
            say(f"pushing {len(whole)} records of runs")
        self._each(self._upload, whole)
        lacking = {r: sorted({o.value for o in needed[r] & nowhere}) for r in new if r not in set(whole)}
        return Sent(len(whole), len(set(status.new) - nowhere), lacking)

    def fetch(self, records: Iterable[Record] | None = None, say: Callable[[str], None] = print) -> Sent:
        """Fetch records, by default all that are there and not here, without their objects."""
        wanted = self.records() if records is None else set(records)
        new = sorted(wanted - set(_records(self._here)))
        if new:
            say(f"fetching {len(new)} records of runs")
        fine = self._each(self._download, new)
        damaged = {record: [record.value] for record, whole in zip(new, fine, strict=True) if not whole}
        return Sent(len(new) - len(damaged), 0, damaged)

    def fetch_objects(self, records: Iterable[Record], say: Callable[[str], None] = print) -> Sent:
        """Fetch the objects that records of this cache name."""
        needed = {record: self._objects(record) for record in records}
        status = self._repo.cloud.status(set().union(*needed.values()), jobs=self._jobs, remote=self._name)
        if status.deleted:  # so DVC calls what is there and not here
            say(f"fetching {len(status.deleted)} objects")
            self._repo.cloud.pull(set(status.deleted), jobs=self._jobs, remote=self._name)
        nowhere = {found for found in set(status.deleted) if not self._repo.cache.local.exists(found.value)}
        lacking = {
            r: sorted(o.value for o in objects & (nowhere | set(status.missing))) for r, objects in needed.items()
        }
        return Sent(0, len(set(status.deleted) - nowhere), {r: names for r, names in lacking.items() if names})

    def give(self, objects: Mapping[Any, T]) -> list[T]:
        """Send objects that are not there yet; what they are `of`, for those that are in no cache.

        Raises:
            TransientError: the remote did not take all.
        """

        def sent() -> list[Any]:
            status = self._repo.cloud.status(set(objects), jobs=self._jobs, remote=self._name)
            if status.new and self._repo.cloud.push(set(status.new), jobs=self._jobs, remote=self._name).failed:
                raise TransientError("the remote did not take all objects")
            return list(status.missing)

        return [objects[one] for one in insist(sent)] if objects else []

    def take(self, objects: Iterable[Any]) -> None:
        """Fetch objects; what is missing or damaged stays away."""
        self._repo.cloud.pull(set(objects), jobs=self._jobs, remote=self._name)

    def _objects(self, record: Record) -> set[Any]:
        """What the record names, with all that lies in its folders; nothing if that cannot be known."""
        found = self._repo.stage_cache.get_used_objs([record], remote=self._name)
        return set().union(*found.values())

    def _each(self, action: Callable[[Record], bool], records: list[Record]) -> list[bool]:
        with ThreadPoolExecutor(self._jobs or self._there.fs.jobs) as pool:
            return list(pool.map(action, records))

    def _upload(self, record: Record) -> bool:
        fs, path = self._there.fs, _path(self._there, record)
        partial = fs.join(fs.parent(path), tmp_fname())
        fs.makedirs(fs.parent(path))
        fs.put_file(_path(self._here, record), partial)
        fs.move(partial, path)
        return True

    def _download(self, record: Record) -> bool:
        target = Path(_path(self._here, record))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(tmp_fname())
        try:
            self._there.fs.get_file(_path(self._there, record), str(partial))
            whole = _is(record, partial)
            if whole:
                partial.replace(target)
            return whole
        finally:
            partial.unlink(missing_ok=True)


def verify(repo: Any) -> None:
    """Have DVC hash whatever comes from a remote: one that was killed while it pushed may have left half of a file."""
    for remote in repo.config["remote"].values():
        remote["verify"] = True


def _is(record: Record, path: Path) -> bool:
    """Whether the file is the record of that name, which is its hash."""
    try:
        entry = load_yaml(str(path))
        return bool(_get_cache_hash(entry) == record.value) and bool(_get_cache_hash(entry, key=True) == record.key)
    except (YAMLFileCorruptedError, KeyError, TypeError, AttributeError):
        return False


def _path(odb: Any, record: Record) -> str:
    return str(odb.fs.join(odb.path, "runs", record.key[:2], *record))


def _records(odb: Any, key: str | None = None) -> Iterator[Record]:
    folder = odb.fs.join(odb.path, "runs", *([key[:2], key] if key else []))
    if odb.fs.exists(folder):
        for path in odb.fs.find(folder):
            *_, found, value = odb.fs.parts(path)
            if len(value) == len(found):  # not what somebody writes just now
                yield Record(found, value)
