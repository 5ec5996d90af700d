"""A push in three steps: find what the remote lacks, send it, and tell what stays incomplete."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gliaflow.errors import UserError
from gliaflow.store import files, records
from gliaflow.store.objects import Objects
from gliaflow.store.records import Record


@dataclass(frozen=True)
class Transfer:
    """What was copied between this machine and a remote, and what could not be."""

    records: int = 0
    """How many records of runs were copied."""
    objects: int = 0
    """How many objects were copied."""
    incomplete: Mapping[Record, Sequence[str]] = field(default_factory=dict)
    """Runs that are not whole now, each with the hashes of what is missing, damaged or not copied, if it is known."""
    gone: frozenset[Record] = frozenset()
    """Of `incomplete`, the runs that lack only what nobody has, as after `dvc gc`: nothing is wrong with them."""

    @property
    def problems(self) -> dict[Record, Sequence[str]]:
        """Of `incomplete`, the runs that somebody has to look at."""
        return {record: names for record, names in self.incomplete.items() if record not in self.gone}

    def __add__(self, other: "Transfer") -> "Transfer":
        """Both together."""
        incomplete = {**self.incomplete, **other.incomplete}
        return Transfer(self.records + other.records, self.objects + other.objects, incomplete, self.gone | other.gone)

    def lines(self, verb: str) -> Iterator[str]:
        """For a person; `verb` is what was done with the runs, such as "pushed"."""
        yield f"{verb} {self.records} runs, {self.objects} objects"
        for record, names in self.problems.items():
            yield f"incomplete: run {record.short}: missing, damaged or not copied: {some(names) or 'its record'}"
        if self.gone:
            yield f"{len(self.gone)} runs were not sent: what they made is neither here nor there, as after dvc gc"

    def plain(self) -> dict[str, Any]:
        """For a program: plain data, a run by the value of its record."""
        incomplete = {record.value: list(names) for record, names in self.problems.items()}
        gone = sorted(record.value for record in self.gone)
        return {"records": self.records, "objects": self.objects, "incomplete": incomplete, "gone": gone}


def some(names: Sequence[str], most: int = 5) -> str:
    """The first `most` of the names, and how many more there are."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


@dataclass(frozen=True)
class Missing:
    """What a remote lacks of this cache."""

    runs: Mapping[Record, set[Any]]
    """The runs to look at, each with the objects that it names: all that are verified, or those that are new."""
    new: set[Record]
    """Of `runs`, those whose records are to be sent."""
    damaged: set[Record]
    """Runs whose records are damaged in this cache."""
    objects: set[Any]
    """The objects that the remote lacks, or has damaged."""


def find_missing(objects: Objects, only: Iterable[Record] | None, there: set[Record], verify: bool) -> Missing:
    """What the remote lacks of the runs `only`, by default of all in this cache; `there` are the records that it has.

    With `verify` the records and objects on the remote are hashed, those of dvc.lock too.

    Raises:
        UserError: one of `only` has an output that says `push: false`, or the remote refuses.
        TransientError: the remote cannot be reached.
    """
    wanted = set(records.listed(objects.legacy.here) if only is None else only)
    if verify:
        with files.reached(objects.legacy.there):
            there = there - records.damaged(objects.legacy.there, wanted & there, objects.jobs)
    wanted = wanted if verify else wanted - there
    private = records.private(objects.repo, wanted)
    for run in sorted(private) if only is not None else ():
        raise UserError(f"run {run.short} has an output that says `push: false`: it cannot go to a remote")
    damaged = _damaged_here(objects, wanted - private)
    runs = records.named(objects, wanted - private - damaged)
    used = objects.repo.used_objs(remote=objects.name, force=True, push=True).get(None, set()) if verify else set()
    return Missing(runs, runs.keys() - there, damaged, objects.missing(set(used).union(*runs.values()), verify))


def push(objects: Objects, missing: Missing) -> Transfer:
    """Send what the remote lacks: first objects, then the records all of whose objects are there.

    Raises:
        UserError: the remote refuses all of it.
        TransientError: the remote cannot be reached.
    """
    sent = objects.send(missing.objects)
    absent = (missing.objects - sent) | records.unlisted(objects, missing.runs)
    complete = {run for run, named in missing.runs.items() if named and absent.isdisjoint(named)}
    new = sorted(complete & missing.new)
    unsent = _send_records(objects, new)
    unfinished = {run: named & absent for run, named in missing.runs.items() if run not in complete}
    names = {run: hashes(named) for run, named in unfinished.items()}
    names |= {run: (run.value,) for run in (*unsent, *sorted(missing.damaged))}
    return Transfer(len(new) - len(unsent), len(sent), names, _gone(objects, missing, unfinished))


def hashes(objects: Iterable[Any]) -> tuple[str, ...]:
    """The names of objects, sorted."""
    return tuple(sorted({one.value for one in objects}))


def _damaged_here(objects: Objects, runs: set[Record]) -> set[Record]:
    paths = {run: records.path_in(objects.legacy.here, run) for run in sorted(runs)}
    damaged = {run: path for run, path in paths.items() if not records.is_whole(run, Path(path))}
    for run, path in damaged.items():
        objects.say(f"run {run.short} is damaged in this cache, and is not sent: delete {path}")
    return set(damaged)


def _gone(objects: Objects, missing: Missing, unfinished: Mapping[Record, set[Any]]) -> frozenset[Record]:
    """The runs that lack only objects that are neither here nor on the remote, and were not found damaged."""
    absent = missing.objects & set[Any]().union(*unfinished.values())
    known = objects.damaged
    lost = {one for one in absent if one.value not in known and not objects.has(one)}
    return frozenset(run for run, named in unfinished.items() if missing.runs[run] and named <= lost)


def _send_records(objects: Objects, new: list[Record]) -> list[Record]:
    """Send records; returns those that were not sent."""
    if new:
        objects.say(f"pushing {len(new)} records of runs")
    here, there = objects.legacy.here, objects.legacy.there
    paths = {records.path_in(here, run): records.path_in(there, run) for run in new}
    sent = files.send(there, paths, objects.jobs, objects.say)
    return [run for run in new if records.path_in(here, run) not in sent]
