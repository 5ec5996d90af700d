"""The jobs of a run, as one thread sees them: one `squeue` for all, and one `scancel` for those that are to end."""

import threading
import time
from collections import Counter
from collections.abc import Sequence

from gliaflow.slurm.site import commands
from gliaflow.slurm.site.commands import Seen

LEAST_SECONDS, MOST_SECONDS = 2.0, 15.0  # between two looks: the longer, the longer nothing changes
LONGER = 1.5
TURN_SECONDS = 0.25
GATHER_SECONDS = 0.2  # in which cancellations are gathered
CANCEL_TRIES = 10
STRANGE_SECONDS = 30.0  # that an id may not be listed after it was given


class Cluster:
    """Looks for jobs under the names of runs, from the first that is watched on."""

    def __init__(self, names: Sequence[str]) -> None:
        self._names = list(names)
        self._lock = threading.Lock()
        self._seen = dict[str, Seen]()
        self._watched = dict[str, float]()  # id → since when
        self._users = Counter[str]()  # id → how many stages of the job are watched
        self._missing = dict[str, int]()  # looks in a row that did not list a job
        self._cancelled = dict[str, int]()  # id → how often it was tried
        self._wake, self._closed = threading.Event(), threading.Event()
        self._pause = LEAST_SECONDS
        self._thread: threading.Thread | None = None

    def watch(self, number: str, name: str) -> None:
        """Look for a job from now on."""
        with self._lock:
            self._watched.setdefault(number, time.monotonic())
            self._users[number] += 1
            if name not in self._names:
                self._names.append(name)
            self._pause = LEAST_SECONDS
            if not self._thread:
                self._thread = threading.Thread(target=self._run, name="slurm", daemon=True)
                self._thread.start()

    def forget(self, number: str) -> None:
        """A stage of the job has ended; after the last, nobody asks for the job any more."""
        with self._lock:
            self._users[number] -= 1
            if self._users[number] <= 0:
                self._users.pop(number)
                self._watched.pop(number, None)
                self._missing.pop(number, None)

    def seen(self, number: str) -> Seen | None:
        """How a job was listed last; None of one that was not listed yet."""
        return self._seen.get(number)

    def gone(self, number: str) -> bool:
        """Whether Slurm says that it is over, or has stopped to list it."""
        with self._lock:
            seen, since = self._seen.get(number), self._watched.get(number, 0.0)
            known = seen is not None or time.monotonic() - since > STRANGE_SECONDS
            return bool(seen and seen.over) or (known and self._missing.get(number, 0) >= 2)

    def cancel(self, number: str) -> None:
        """End a job, with others that are to end about now; returns at once."""
        with self._lock:
            self._cancelled.setdefault(number, 0)
            self._pause = LEAST_SECONDS
        self._wake.set()

    def close(self) -> None:
        """Look no more; what is to be cancelled is."""
        self._closed.set()
        self._wake.set()
        if self._thread:
            self._thread.join(timeout=commands.ASK_SECONDS)
        self._cancel()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._closed.is_set():
            self._wake.wait(TURN_SECONDS)
            if self._wake.is_set():
                self._wake.clear()
                self._closed.wait(GATHER_SECONDS)
                self._cancel()
            if self._watched and time.monotonic() - last >= self._pause:
                self._look()
                last = time.monotonic()

    def _look(self) -> None:
        found = commands.look(self._names)
        if found is None:
            return
        with self._lock:
            changed = any(self._seen.get(number) != found[number] for number in found)
            for number in self._watched:
                self._missing[number] = 0 if number in found else self._missing.get(number, 0) + 1
            self._seen |= found
            self._pause = LEAST_SECONDS if changed else min(self._pause * LONGER, MOST_SECONDS)

    def _cancel(self) -> None:
        with self._lock:
            ids = [number for number, tries in self._cancelled.items() if tries < CANCEL_TRIES]
        if not ids:
            return
        done = commands.cancel(ids)
        with self._lock:
            for number in ids:
                self._cancelled[number] = CANCEL_TRIES if done else self._cancelled[number] + 1
        if not done:
            self._wake.set()
