"""What a team shares on a DVC remote: records of runs, and with them the objects that they name.

`dvc push --run-cache` sends all records, but only the objects of the current dvc.lock. Most records that a teammate
finds then name objects that are not there. Here a record is sent once all of its objects are on the remote.
"""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

from gliaflow.errors import TransientError, UserError
from gliaflow.store import files, records
from gliaflow.store.objects import Objects
from gliaflow.store.records import Record
from gliaflow.store.transfer import Transfer, find_missing, hashes, push

T = TypeVar("T")


class Remote:
    """The DVC remote of that name, or the default one; every object that comes from it is hashed again.

    `jobs` is how many files are copied at once; `say` is told what happens, in lines.

    Raises:
        UserError: there is no such remote, it cannot be listed and must be, or it refuses; from all methods.
        TransientError: it cannot be reached; from all methods.
    """

    def __init__(
        self, repo: Any, name: str | None = None, jobs: int | None = None, say: Callable[[str], None] = print
    ) -> None:
        self._objects = Objects(repo, name, jobs, say)

    @property
    def keeps_runs(self) -> bool:
        """Whether the remote can be listed, and so hold records; one over HTTP only gives objects by name."""
        return self._objects.listable

    @property
    def absent(self) -> str | None:
        """That the remote's folder is not there, as a phrase, if so; see `Objects.absent`."""
        absent = self._objects.absent
        return f"remote '{absent[0]}': there is no {absent[1]}" if absent else None

    def records(self, key: str | None = None) -> set[Record]:
        """The records on the remote; with `key`, those of this key alone."""
        self._objects.must_list()
        odb = self._objects.legacy.there
        with files.reached(odb):
            odb.fs.fs.invalidate_cache()  # others may have sent some since this process listed it
            return set(records.listed(odb, key))

    def missing(self, objects: Iterable[Any], verify: bool = False) -> set[Any]:
        """The objects that are not on the remote, or are damaged there; see `Objects.missing`."""
        return self._objects.missing(objects, verify)

    def push(self, only: Iterable[Record] | None = None, verify: bool = False) -> Transfer:
        """Send records that are not on the remote yet, by default all of this cache, each after its objects.

        An object whose size on the remote differs is sent again, if it is whole here. With `verify`, what is on the
        remote already is hashed, also the objects of dvc.lock; what does not hash to its name is sent again. Runs of a
        stage with an output that says `push: false` stay here.

        Raises:
            UserError: one of `only` is such a run.
        """
        absent = self._objects.absent
        missing = find_missing(self._objects, only, self.records(), verify)
        if absent and missing.new:
            self._objects.say(f"remote '{absent[0]}' is new: its folder is made")
        return push(self._objects, missing)

    def fetch(self, wanted: Iterable[Record] | None = None) -> Transfer:
        """Fetch records without their objects; by default all that are on the remote and not here."""
        self._objects.must_list()
        there = self.records() if wanted is None else set(wanted)
        legacy = self._objects.legacy
        new = sorted(there - set(records.listed(legacy.here)))
        if new:
            self._objects.say(f"fetching {len(new)} records of runs")
        with files.reached(legacy.there):
            fine = files.each(legacy.there, self._objects.jobs, partial(records.download, legacy), new)
        damaged = {record: (record.value,) for record, whole in zip(new, fine, strict=True) if not whole}
        return Transfer(len(new) - len(damaged), 0, damaged)

    def fetch_objects(self, wanted: Iterable[Record]) -> Transfer:
        """Fetch the objects that records of this cache name."""
        runs = records.named(self._objects, wanted)
        missing = {one for objects in runs.values() for one in objects if not self._objects.has(one)}
        absent = set[Any]()
        if missing:
            self._objects.say(f"fetching {len(missing)} objects")
            absent = self.take(missing)
        unread = (run for run, objects in runs.items() if not objects or objects & absent)
        return Transfer(0, len(missing - absent), {run: hashes(runs[run] & absent) for run in unread})

    def fetch_runs(self) -> Transfer:
        """Fetch all records that are not here, and the objects of all records that are on the remote.

        Raises:
            UserError: there is no folder to fetch from.
        """
        if absent := self.absent:
            raise UserError(f"{absent}; `gliaflow push` makes it, or mend the url in .dvc/config")
        there = self.records()
        found = self.fetch(there)
        return found + self.fetch_objects(there - found.incomplete.keys())

    def give(self, objects: Mapping[Any, T]) -> list[T]:
        """Send objects that the remote lacks; returns what `objects` says of those that are in no cache.

        Raises:
            TransientError: the remote did not take all of them.
        """
        missing = self.missing(objects)
        absent = [objects[one] for one in missing if not self._objects.has(one)]
        if not absent and missing - self._objects.send(missing):
            raise TransientError("the remote did not take all objects")
        return absent

    def take(self, objects: Iterable[Any]) -> set[Any]:
        """Fetch objects; returns those that are missing or damaged on the remote, and so are not here."""
        return self._objects.fetch(objects)
