"""Runs of the same stage on the same data at the same time, in workspaces on one cache: one runs, the others wait.

When it has ended, the run-cache knows what it made, and the others restore that. A run is known by its key in the
run-cache. Whoever runs it locks a file of that name; the lock ends with its process. Two sweeps that would make the
same experiment take turns by such a file too.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gliaflow.journal.lock import held

MOST_BYTES = 1 << 12  # of the name that stands in a file
POLL_SECONDS = 0.2  # between two looks at whether another process has ended


class Twins:
    """The files lie in `folder`, which all these workspaces share; `name` tells the others who runs a stage."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._taken: dict[str, int] = {}  # descriptors
        folder.mkdir(parents=True, exist_ok=True)

    def runner(self, key: str) -> str:
        """Who runs this now, by the name it gave; nothing if nobody else does."""
        path = self._folder / key
        if key in self._taken or not held(path):
            return ""
        with suppress(OSError):
            return path.read_text(encoding="utf-8", errors="replace")[:MOST_BYTES] or "another run"
        return "another run"

    def take(self, key: str) -> bool:
        """Have this be run here alone; False if another process runs it."""
        path = self._folder / key
        while key not in self._taken:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
            if _is_at(descriptor, path):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, self._name.encode(), 0)
                self._taken[key] = descriptor
            else:  # who had it before has just removed the file
                os.close(descriptor)
        return True

    def give_back(self, key: str) -> None:
        """Let others run or restore this; nothing happens if it is not taken."""
        descriptor = self._taken.pop(key, None)
        if descriptor is not None:
            (self._folder / key).unlink(missing_ok=True)
            os.close(descriptor)

    @contextmanager
    def alone(self, key: str, wait: Callable[[], None]) -> Iterator[None]:
        """Do this inside the block, as the only process: if another one does it, call `wait`, then wait for its end."""
        if not self.take(key):
            wait()
            while not self.take(key):
                time.sleep(POLL_SECONDS)
        try:
            yield
        finally:
            self.give_back(key)


def _is_at(descriptor: int, path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(descriptor), path.stat())
    return False
