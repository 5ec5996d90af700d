"""DVC's two locks: the one on the workspace, and the rwlock that notes who reads and writes which path.

Whatever touches the repository happens under the first, in one thread at a time. The paths of a running stage are noted
in the second twice. Under the pid of this process they stay busy until the stage is recorded, although its warden has
ended by then. Under that of the warden they stay busy until the whole tree of its processes has ended, although this
process may be killed before.
"""

import json
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from dvc import rwlock
from dvc.dependency import RepoDependency
from dvc.dependency.db import AbstractDependency
from dvc.lock import LockError

from gliaflow.core.ports import NotYet
from gliaflow.errors import one_line

POLL_SECONDS = 0.05  # between two looks at a lock that another process holds
CLOCK_SECONDS = 2.0  # how far a process's start and a file's time may be off
PATIENCE_SECONDS = 1.0  # before saying that one waits for it


class Locks:
    """The locks of one open `dvc.repo.Repo`."""

    def __init__(self, repo: Any, say: Callable[[str], None]) -> None:
        self._repo, self._say = repo, say
        self._lock, self._depth = threading.RLock(), 0
        self._holders: dict[str, list[dict[str, Any]]] = {}  # by address, as they stand in the rwlock
        self._notes, self._known = dict[str, Any](), False  # the rwlock, and whether it is that still
        self._free = set[tuple[str, ...]]()  # what was read and written where a look found nobody in the way
        self._text: bytes | None = None  # from which the notes were read, or to which they were written
        repo.lock._friendly = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold DVC's lock, and say so if another process makes this wait."""
        with self._lock:
            if not self._depth:
                self._wait()
                self._known = False  # another process may have had the lock
                self._free.clear()
                self._repo._lock_depth += 1  # for functions of DVC that would lock by themselves
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self._repo._lock_depth -= 1
                    self._repo.lock.unlock()

    def _wait(self) -> None:
        take = getattr(self._repo.lock, "_do_lock", self._repo.lock.lock)  # a hard-link lock waits by itself
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return take()  # type: ignore[no-any-return]
            except LockError:
                if time.monotonic() > patience:
                    patience = float("inf")
                    self._say("waiting for another DVC process to release its lock on this workspace")
                time.sleep(POLL_SECONDS)

    def forget_the_dead(self) -> None:
        """Drop what killed processes left in the rwlock."""
        forget_the_dead(Path(self._repo.tmp_dir) / rwlock.RWLOCK_FILE)

    def hold(self, stage: Any, pid: int) -> None:
        """Hold the stage's paths, for process `pid` too: to DVC they are busy until that one has ended, and they are
        given back or this process has ended. With 0, give them back.

        Raises:
            dvc.lock.LockError: another process works on them.
        """
        address, folder = stage.addressing, self._repo.tmp_dir
        read, write = _paths(stage.deps), _paths(stage.outs)
        command = f"{' '.join(sys.argv)} [{address}]"
        ours, theirs = ({"pid": one, "cmd": command} for one in (os.getpid(), pid))
        with self.held(), self._edited() as lock:
            if holders := self._holders.pop(address, None):  # others may have dropped one since: its process has ended
                lock["write"] = {path: one for path, one in lock["write"].items() if one not in holders}
                readers = {path: [one for one in those if one not in holders] for path, those in lock["read"].items()}
                lock["read"] = defaultdict(list, {path: those for path, those in readers.items() if those})
            if pid:
                _check(folder, lock, ours, read, write)
                lock["write"] |= dict.fromkeys(write, ours)  # which has room for one
                rwlock._acquire_read(lock, ours, read)
                if theirs != ours:
                    rwlock._acquire_read(lock, theirs, read + write)
                self._holders[address] = [ours, theirs]

    @contextmanager
    def _edited(self) -> Iterator[dict[str, Any]]:
        """Yield the notes and write them, as DVC's own function does.

        That one takes a second lock. Whoever edits the notes holds the first, so it is left out here.
        """
        try:
            notes = self._noted()
        except (ValueError, rwlock.Invalid):  # its writer was killed, say
            self.forget_the_dead()
            notes = self._noted()
        self._free.clear()
        self._known, self._text = False, None  # until it is written: what is raised inside may leave half an entry
        yield notes
        text = json.dumps(notes).encode()
        with open(f"{self._repo.tmp_dir}{os.sep}{rwlock.RWLOCK_FILE}", "wb") as file:  # noqa: PTH123 quicker
            file.write(text)
        self._known, self._text = True, text

    def _noted(self) -> dict[str, Any]:
        """The notes, read once as long as DVC's lock is held: all others write them only while they hold it.

        Raises:
            ValueError, voluptuous.Invalid: they make no sense.
        """
        if not self._known:
            text = _text_in(self._repo.tmp_dir)
            if text != self._text:
                self._notes, self._text = _notes_in(text), text
            self._known = True
        return self._notes

    @contextmanager
    def noting_nothing(self) -> Iterator[None]:
        """In place of DVC's rwlock one that raises as it does, but notes nothing down.

        DVC calls it only while it holds its lock, and so does everyone else who would read the notes. It writes them
        twice for each of six nested calls a stage, which was a third of the time that a restore took.
        """
        real = rwlock.rwlock
        rwlock.rwlock = self._look
        try:
            yield
        finally:
            rwlock.rwlock = real

    @contextmanager
    def _look(self, folder: str, _fs: Any, cmd: str, read: list[str], write: list[str], _hard: bool) -> Iterator[None]:
        info = {"pid": os.getpid(), "cmd": cmd}
        key = (folder, *read, "", *write)
        if key in self._free and self._depth:
            yield
            return
        try:
            found = self._noted() if folder == self._repo.tmp_dir and self._depth else _notes_in(_text_in(folder))
        except (ValueError, rwlock.Invalid):  # half of it, if whoever wrote it was killed
            found = {"write": {}, "read": {}}
        mine = info["pid"]
        write_of_others = {n: one for n, one in found["write"].items() if one["pid"] != mine or n not in write}
        read_by_others = {n: those for n, those in found["read"].items() if n not in write}
        both = found["read"].keys() & set(write)
        read_by_others |= {n: [i for i in found["read"][n] if i["pid"] != mine] for n in both}
        _check(folder, {"write": write_of_others, "read": read_by_others}, info, read, write)
        if folder == self._repo.tmp_dir and self._depth:
            self._free.add(key)
        yield

    def release(self, stage: Any) -> None:
        """Give the stage's paths back, if it has them."""
        if stage.addressing in self._holders:
            self.hold(stage, 0)


def _check(folder: str, lock: dict[str, Any], info: dict[str, Any], read: list[str], write: list[str]) -> None:
    """Raise DVC's error if another living process is in the way.

    DVC drops the entries of dead ones, and with the last of them the whole key, which it and we read later.
    """
    rwlock._check_blockers(folder, lock, info, mode="write", waiters=read + write)
    rwlock._check_blockers(folder, lock, info, mode="read", waiters=write)
    lock.setdefault("write", {})
    lock.setdefault("read", defaultdict(list))


@contextmanager
def busy_is_not_yet() -> Iterator[None]:
    """Raise NotYet where DVC says that a path is busy."""
    try:
        yield
    except LockError as error:
        raise NotYet(one_line(str(error).partition("If there are no")[0])) from None


def _text_in(folder: str) -> bytes:
    """The rwlock in the folder of a repository for what is temporary."""
    try:
        with open(f"{folder}{os.sep}{rwlock.RWLOCK_FILE}", "rb") as file:  # noqa: PTH123 quicker
            return file.read()
    except FileNotFoundError:
        return b"{}"


def _notes_in(text: bytes) -> dict[str, Any]:
    """Who writes and who reads each path; what makes no sense raises."""
    found = rwlock.SCHEMA(json.loads(text))
    return {**found, "read": defaultdict(list, found["read"])}


def _paths(entries: Iterable[Any]) -> list[str]:
    return [entry.fs_path for entry in entries if not isinstance(entry, RepoDependency | AbstractDependency)]


def forget_the_dead(path: Path) -> None:
    """Drop the entries of processes that are gone; to be called under DVC's lock.

    DVC does so too, but takes a zombie, or another process that got the pid, for the one that wrote the entry, and
    refuses a file whose writer was killed while it wrote.
    """
    try:
        text, written = path.read_bytes(), path.stat().st_mtime
    except FileNotFoundError:
        return
    found: Any = None
    kept: dict[str, Any] = {"write": {}, "read": {}}
    try:
        found = json.loads(text)
        noted = rwlock.SCHEMA(found)
        kept["write"] = {name: info for name, info in noted["write"].items() if _lives(info, written)}
        readers = {name: [i for i in infos if _lives(i, written)] for name, infos in noted["read"].items()}
        kept["read"] = {name: infos for name, infos in readers.items() if infos}
    except (ValueError, rwlock.Invalid):
        kept = {"write": {}, "read": {}}
    if kept != found:
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps(kept))
        partial.replace(path)


def _lives(info: dict[str, Any], written: float) -> bool:
    try:
        process = psutil.Process(int(info["pid"]))
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= written + CLOCK_SECONDS
    except psutil.NoSuchProcess:
        return False
