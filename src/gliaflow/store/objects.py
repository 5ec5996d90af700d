"""Objects of DVC's cache and of a remote: which of them a remote lacks, sending them, fetching them.

An object is a `HashInfo` of DVC: a file, or the listing of a folder. DVC keeps objects of version 2, and the records of
runs, in a store of their own beside the others.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.config import NoRemoteError, RemoteConfigError
from dvc.fs import HTTPFileSystem
from dvc_data.hashfile.tree import Tree
from dvc_objects.errors import ObjectFormatError
from dvc_objects.fs.base import ObjectFileSystem

from gliaflow.errors import UserError, one_line
from gliaflow.store import files
from gliaflow.store.repository import verify

LEGACY = "md5-dos2unix"  # the hash of DVC 2, which names the store that holds the records too


@dataclass(frozen=True)
class Stores:
    """Two stores of one kind (`odb` of DVC)."""

    here: Any
    """The store in the cache of this machine."""
    there: Any
    """The store on the remote."""


class Objects:
    """The objects of a repository's cache and of one remote; what comes from the remote is hashed again.

    `name` is the remote, by default the default one. `jobs` is how many files are copied at once. `say` is told what
    happens, in lines.

    Raises:
        UserError: there is no such remote.
    """

    def __init__(self, repo: Any, name: str | None, jobs: int | None, say: Callable[[str], None]) -> None:
        self.repo, self.name, self.jobs, self.say = repo, name, jobs, say
        verify(repo, say)
        try:
            self.legacy = Stores(repo.cache.legacy, repo.cloud.get_remote_odb(name, "push", hash_name=LEGACY))
            self._files = Stores(repo.cache.local, repo.cloud.get_remote_odb(name, "push"))
        except (NoRemoteError, RemoteConfigError) as error:
            raise UserError(one_line(error)) from error
        self.damaged = set[str]()
        """Hashes of objects that were found damaged, here or on the remote."""

    @property
    def listable(self) -> bool:
        """Whether the remote can be listed; a remote over HTTP only gives objects by name."""
        return not isinstance(self.legacy.there.fs, HTTPFileSystem)

    def must_list(self) -> None:
        """Require that the remote can be listed.

        Raises:
            UserError: it cannot.
        """
        if not self.listable:
            place = self.legacy.there.path
            raise UserError(f"a remote over HTTP cannot be listed, and only `get` takes from it: {place}")

    @property
    def absent(self) -> tuple[str, str] | None:
        """The name and the address of a remote whose folder is not there: nobody has pushed, or the address is wrong.

        None of a remote over HTTP, and of a bucket, which has no folders.

        Raises:
            UserError: the remote refuses.
            TransientError: the remote cannot be reached.
        """
        remote = self.repo.cloud.get_remote(self.name, "push")
        if not self.listable or isinstance(remote.fs, ObjectFileSystem):
            return None
        with files.reached(remote):
            return None if remote.fs.exists(remote.path) else (remote.name, files.url(remote))

    def has(self, one: Any) -> bool:
        """Whether an object is in the cache. DVC judges, and drops a damaged one unless it is write-protected."""
        try:
            cache_of(self.repo, one).check(one.value)
            return True
        except FileNotFoundError:
            return False
        except ObjectFormatError:
            self.damaged.add(one.value)
            self.say(f"object {one.value} was damaged in this cache, and is dropped")
            return False

    def missing(self, objects: Iterable[Any], verify: bool = False) -> set[Any]:
        """The objects that are not on the remote, or are damaged there.

        An object is hashed on the remote only if its size differs from the one here. With `verify` all are hashed,
        which reads every byte of them.

        Raises:
            UserError: the remote cannot be listed, or refuses.
            TransientError: the remote cannot be reached.
        """
        self.must_list()
        with files.reached(self.legacy.there):
            found = [self._missing(stores, named, verify) for stores, named in self._by_store(objects)]
        return set[Any]().union(*found)

    def send(self, objects: Iterable[Any]) -> set[Any]:
        """Send the objects that are in the cache and not damaged; returns those that were sent.

        Raises:
            UserError: the remote refuses all of them.
            TransientError: the remote cannot be reached.
        """
        sent = set()
        for stores, named in self._by_store(objects):
            paths = {stores.here.oid_to_path(oid): oid for oid in self._whole_here(stores, named)}
            if paths:
                self.say(f"pushing {len(paths)} objects")
            targets = {path: stores.there.oid_to_path(oid) for path, oid in paths.items()}
            sent |= {named[paths[path]] for path in files.send(stores.there, targets, self.jobs, self.say)}
        return sent

    def fetch(self, objects: Iterable[Any]) -> set[Any]:
        """Fetch objects; returns those that are missing or damaged on the remote, and so are not here.

        Raises:
            UserError: the remote refuses.
            TransientError: the remote cannot be reached.
        """
        wanted = set(objects)
        with files.reached(self.legacy.there):
            result = self.repo.cloud.pull(wanted, jobs=self.jobs, remote=self.name)
        if result.failed:
            self.say(f"{len(result.failed)} objects could not be fetched; fetch again for the rest")
        return {one for one in wanted if not self.has(one)}

    def _by_store(self, objects: Iterable[Any]) -> Iterator[tuple[Stores, dict[str, Any]]]:
        """The stores that hold any of the objects, each with these by hash."""
        objects = list(objects)
        for stores in (self._files, self.legacy):
            named = {one.value: one for one in objects if (one.name == LEGACY) == (stores is self.legacy)}
            if named:
                yield stores, named

    def _missing(self, stores: Stores, named: dict[str, Any], verify: bool) -> set[Any]:
        sizes = files.sizes(stores.there, named, self.jobs)
        there = [oid for oid in named if oid in sizes]
        doubtful = [oid for oid in there if verify or _size(stores.here, oid, sizes[oid]) != sizes[oid]]
        if verify and doubtful:
            self.say(f"hashing {len(doubtful)} objects of the remote")
        damaged = files.damaged(stores.there, doubtful, self.jobs)
        self.damaged |= damaged
        return {one for oid, one in named.items() if oid not in sizes or oid in damaged}

    def _whole_here(self, stores: Stores, named: dict[str, Any]) -> list[str]:
        """The hashes of those that are in the cache and, read once more, not damaged."""
        present = sorted(oid for oid, one in named.items() if self.has(one))
        damaged = files.damaged(stores.here, present, self.jobs)
        self.damaged |= damaged
        for oid in sorted(damaged):
            self.say(f"object {oid} is damaged in this cache, and is not sent")
        return [oid for oid in present if oid not in damaged]


def cache_of(repo: Any, one: Any) -> Any:
    """The store of this machine that an object belongs in."""
    return repo.cache.legacy if one.name == LEGACY else repo.cache.local


def path_of(repo: Any, one: Any) -> Path:
    """Where an object lies in the cache of this machine, if it is there."""
    return Path(cache_of(repo, one).oid_to_path(one.value))


def inside(repo: Any, listing: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The files of a folder whose listing is in the cache, each with the parts of its path in it and its object."""
    return [(key, one) for key, _, one in Tree.load(cache_of(repo, listing), listing)]


def _size(odb: Any, oid: str, default: int) -> int:
    """The size of an object in bytes; `default` if the store of this machine does not have it."""
    path = Path(odb.oid_to_path(oid))
    return path.stat().st_size if path.exists() else default
