"""One dvc.lock: its entries are exchanged where they stand, and the rest of its text is joined as it is.

DVC reads and writes the whole file for each stage, by ruamel.yaml, which takes seconds where there are a thousand. It
is asked to only for a file that it did not write itself: edited by hand, or by another program.
"""

import os
from bisect import bisect_left, insort
from collections.abc import Callable, Iterable, Mapping, Set
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from dvc.dvcfile import Lockfile
from dvc.stage.serialize import to_single_stage_lockfile
from dvc.utils.serialize import parse_yaml

from gliaflow.lockfiles.entries import Strange, Text, entry, split, value
from gliaflow.lockfiles.order import Order
from gliaflow.lockfiles.text import rewritten
from gliaflow.lockfiles.whole import Files, signature

Dump = Callable[[bytes, Any], bytes]


class LockFile:
    """The file at `path`; `places` are those of the planned stages in DVC's order, by name.

    `known` is what DVC has read of it.
    """

    def __init__(
        self, path: Path, places: Mapping[str, int], known: Mapping[str, Any], files: Files, dump: Dump
    ) -> None:
        self.path = path
        self._places, self._known, self._files, self._dump = places, known, files, dump
        self._foreign = False  # whether others have written to it since its entries were put in order
        self._left: bytes | None = None  # what the file holds if nobody else has written to it
        self._began = self._seen = signature(path)
        self._loaded = dict(known.get("stages") or {})  # what the stages know of it
        self._old = self._loaded.keys() - files.added(path)  # who keeps its place, whoever comes
        self._unlooked: set[str] = set()  # stages of which others may have written
        self._text: _Joined | _ByDvc = _ByDvc(b"", dump)
        self._new: set[str] = set()  # stages whose entries this run has added
        self._untold: set[str] = set()  # entries that have come since this run began, to be noted

    @property
    def planned(self) -> Iterable[str]:
        """The names of the planned stages."""
        return self._places

    def write(self, stages: list[Any]) -> bool:
        """Write the entries of `stages`, which have just been saved; whether the file has changed.

        Raises:
            OSError, DvcException: the file cannot be read or written; it is as it was.
        """
        exists = self.path.exists()
        before = self._current()
        self._arrange()
        for stage in stages:
            if self._text.put(stage, self._places[stage.name]):
                self._new.add(stage.name)
                self._untold.add(stage.name)
        return self._put_in_place(before, exists)

    def finish(self) -> bool:
        """Put entries in order that DVC has appended beside this run, if it added any; whether the file has changed.

        Raises:
            OSError, DvcException: the file cannot be read or written; it is as it was.
        """
        if not self._new or not self.path.exists():
            return False
        before = self._current()
        self._arrange()
        return self._put_in_place(before, exists=True)

    def _arrange(self) -> None:
        """Have the entries that have come since stand in DVC's order; DVC appends, in whatever order stages end."""
        if self._foreign:
            self._foreign = False
            self._text.arrange()

    def take_out(self, names: Set[str]) -> bool:
        """Write the file without the entries of those stages that are new; whether the file has changed.

        Raises:
            OSError, DvcException: the file cannot be read or written; it is as it was.
        """
        before, new = self._current(), self._new & names
        for name in new:
            self._text.remove(name)
        self._new -= new
        if new and self._began is None and not self._text.names():
            self.path.unlink(missing_ok=True)
            self._left, self._seen = b"", None
            return True
        return bool(new) and self._put_in_place(before, exists=True, gone=new)

    def _put_in_place(self, before: bytes, exists: bool, gone: Set[str] = frozenset()) -> bool:
        text = self._text.whole()
        if text != before or not exists:
            self._files.write(self.path, text, sorted(self._untold), gone)
            self._untold.clear()
        self._left, self._seen = text, signature(self.path)
        return text != before

    def news(self, name: str) -> Mapping[str, Any] | None:
        """What others have written of the stage since this was asked last, if it is new.

        Raises:
            OSError, DvcException: the file cannot be read.
        """
        if signature(self.path) != self._seen:
            self._current()
        if name not in self._unlooked:
            return None
        self._unlooked.remove(name)
        found: Mapping[str, Any] | None = self._text.value(name)
        if found is None or found == self._loaded.get(name):
            return None
        self._loaded[name] = found
        return found

    def _current(self) -> bytes:
        seen = signature(self.path)
        text = self.path.read_bytes() if seen else b""
        if text != self._left:
            if self._left is not None or seen != self._seen:
                self._unlooked = set(self._places)
            self._read(text)
            self._left, self._foreign = text, True
        self._seen = seen
        return text

    def _read(self, text: bytes) -> None:
        try:
            self._text = _joined(text.decode(), self._known, Order(self._places, self._old))
            self._untold.update(self._text.order.since())
        except (Strange, UnicodeDecodeError):
            self._text = _ByDvc(text, self._dump)


class _Joined:
    """A text of which each entry is known; `done` is how often DVC would have written it by now."""

    def __init__(self, text: Text, order: Order[str], done: int = 0) -> None:
        self.order = order
        order.read(text.entries)
        self._head, self._tail, self._done = text.head.encode(), text.tail.encode(), done
        self._entries = text.entries  # by name
        self._pieces = [one.first.encode() for one in text.entries.values()]  # as they stand in the file
        self._restless = {name for name, one in text.entries.items() if not one.steady}
        self._written: dict[str, int] = {}  # the places of the stages for which DVC would have written it
        self._places: list[int] = []

    def put(self, stage: Any, place: int) -> bool:
        """Set the entry of a stage; whether it is new."""
        name, made = stage.name, entry(stage.name, to_single_stage_lockfile(stage))
        new = name not in self._entries
        if new:
            self._pieces.insert(self.order.insert(name), made.first.encode())
        else:
            self._pieces[self.order.names.index(name)] = made.first.encode()
        self._entries[name] = made
        self._restless.discard(name)
        if not made.steady:
            self._restless.add(name)
        if name not in self._written:
            self._written[name] = place
            insort(self._places, place)
        return new

    def remove(self, name: str) -> None:
        """Have no entry of the stage, as if it had not ended."""
        if self._entries.pop(name, None):
            del self._pieces[self.order.remove(name)]
            self._restless.discard(name)
            if name in self._written:
                self._places.remove(self._written.pop(name))

    def arrange(self) -> None:
        """Have the entries that have come since stand in DVC's order."""
        self._pieces = [self._pieces[source] for source in self.order.arrange()]

    def names(self) -> Set[str]:
        """The stages that have an entry."""
        return self._entries.keys()

    def value(self, name: str) -> Any:
        """The entry of a stage as data, if it has one."""
        return value(self._entries[name].text()) if name in self._entries else None

    def whole(self) -> bytes:
        """The text as it is once DVC has written it for all of these stages, one after another."""
        pieces = self._pieces
        if self._restless:
            texts = {name: self._entries[name].text(self._rewrites(name)).encode() for name in self._restless}
            pieces = [texts.get(name, piece) for name, piece in zip(self.order.names, pieces, strict=True)]
            self._restless = {name for name in self._restless if not self._entries[name].steady}
        return b"".join([self._head, *pieces, self._tail])

    def _rewrites(self, name: str) -> int:
        if name in self._written:
            return len(self._places) - 1 - bisect_left(self._places, self._written[name])
        return len(self._places) - self._done


class _ByDvc:
    """A text that only DVC can change, one stage after another in its order."""

    def __init__(self, text: bytes, dump: Dump) -> None:
        self._dump = dump
        self._texts = [text]
        self._stages: list[tuple[int, Any]] = []
        self._known: Set[str] | None = None  # stages with an entry before any of these
        self._names: Set[str] = frozenset()

    def put(self, stage: Any, place: int) -> bool:
        """Have DVC write the entry of a stage, then anew those of the stages behind it; whether it is new."""
        behind = [one for one in self._stages if one[0] > place]
        self._stages = [one for one in self._stages if one[0] < place]
        del self._texts[len(self._stages) + 1 :]
        for one in [(place, stage), *behind]:
            self._texts.append(self._dump(self._texts[-1], one[1]))
            self._stages.append(one)
        if self._known is None:
            self._known = _stages(self._texts[0]).keys()
        self._names = self._known | {one.name for _, one in self._stages}
        return stage.name not in self._known

    def remove(self, name: str) -> None:
        """Have no entry of the stage, as if it had not ended."""
        kept = [one for one in self._stages if one[1].name != name]
        self._stages, self._texts, self._names = [], self._texts[:1], self._known or frozenset()
        for place, stage in kept:
            self.put(stage, place)

    def arrange(self) -> None:
        """Leave them as they are: DVC appends new ones whatever they are."""

    def names(self) -> Set[str]:
        """The stages that have an entry, as far as it is known: DVC appends new ones whatever they are."""
        return self._names

    def value(self, name: str) -> Any:
        """The entry of a stage as data, if it has one."""
        return _stages(self._texts[-1]).get(name)

    def whole(self) -> bytes:
        """The text."""
        return self._texts[-1]


def _stages(text: bytes) -> Mapping[str, Any]:
    found: Mapping[str, Any] = parse_yaml(text.decode(), "dvc.lock").get("stages") or {}
    return found


def _joined(text: str, known: Mapping[str, Any], order: Order[str]) -> _Joined:
    try:
        return _Joined(split(text, known), order)
    except Strange:
        data = parse_yaml(text, "dvc.lock")
    try:
        return _Joined(split(text, data), order)
    except Strange:  # an older DVC may have written it, or git with other line ends
        text = rewritten("\n".join(text.replace("\r\n", "\n").split("\r")))
        return _Joined(split(text, parse_yaml(text, "dvc.lock")), order, done=1)


def dumped_by(repo: Any) -> Dump:
    """DVC's own way to write the entry of a stage into the text of a lock file."""

    def dump(text: bytes, stage: Any) -> bytes:
        with TemporaryDirectory(dir=repo.tmp_dir) as folder:
            path = Path(folder) / "dvc.lock"
            if text:
                path.write_bytes(text)
            Lockfile(repo, str(path)).dump_stages([stage])
            repo.scm_context.files_to_track.discard(os.path.relpath(path))
            return path.read_bytes()

    return dump
