"""Warm workers, seen from the search: each holds a slot of this machine, and is replaced if it leaks or dies."""

import contextlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from gliaflow.core.settings import Settings
from gliaflow.errors import UserError, how_it_ended, one_line
from gliaflow.experiments.search.individuals import Trained
from gliaflow.resources.slots import SlotLease, Slots

TRIES = 3  # of an individual whose worker died
LEAK_BYTES = 512 << 20  # that a worker may hold more than after its first individual
END_SECONDS = 10.0
POLL_SECONDS = 0.2  # between two looks for a free slot
PROGRAM = Path(__file__).with_name("worker.py")
GROWTH = {"TF_FORCE_GPU_ALLOW_GROWTH": "true"}  # TensorFlow takes what it needs, not the whole card


@dataclass(frozen=True)
class Door:
    """What a stage offers to a search, and how its commands run."""

    module: str
    """Has `load(params) -> data` and `train(data, params) -> iterator of metrics`."""
    cwd: str
    env: Mapping[str, str]
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True)
class Task:
    """An individual that is to be trained up to an epoch, or to the end."""

    key: str
    params: Mapping[str, Any]
    until: int | None = None


@dataclass(frozen=True)
class Memory:
    """Bytes that a worker holds once it has given an individual up."""

    pid: int
    host: int
    device: int


class Worker:
    """One process, on a slot that it holds."""

    def __init__(self, door: Door, lease: SlotLease) -> None:
        self.lease = lease
        self.first: Memory | None = None
        """What it held after its first individual."""
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 it lives as long as the process
        self._process = subprocess.Popen(
            ["python", str(PROGRAM), door.module],
            cwd=door.cwd,
            env={**door.env, **GROWTH, **lease.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,
        )
        self.pid = self._process.pid
        threading.Thread(target=self._bury, daemon=True).start()
        self._timeout = door.settings.timeout

    def _bury(self) -> None:
        """When the process has ended, end what it has started: that may keep the pipe open, and the slot's device."""
        self._process.wait()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def train(self, task: Task, on_epoch: Callable[[int, Mapping[str, float]], None]) -> dict[str, Any]:
        """Have a task done; the last answer, empty if it died."""
        timer = threading.Timer(self._timeout, self._process.kill) if self._timeout else None
        if timer:
            timer.start()
        try:
            self._say({"train": task.key, "params": task.params, "until": task.until})
            assert self._process.stdout
            for line in self._process.stdout:
                told: dict[str, Any] = json.loads(line)
                if "epoch" not in told:
                    return told
                on_epoch(told["epoch"], told["metrics"])
            self._process.wait()
            return {}
        finally:
            if timer:
                timer.cancel()

    def forget(self, keys: Iterable[str]) -> Memory | None:
        """Have individuals be given up; what it holds afterwards, None if it died."""
        self._say({"forget": sorted(keys)})
        assert self._process.stdout
        line = self._process.stdout.readline()
        return memory(self.pid, json.loads(line)) if line else None

    @property
    def why(self) -> str:
        """How the process ended, and its last word."""
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        ending = how_it_ended(self._process.wait())
        return f"its worker {ending}{f': {one_line(lines[-1])}' if lines else ''}"

    def close(self) -> None:
        """End it, and give its slot back."""
        with contextlib.suppress(OSError):
            assert self._process.stdin
            self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()
        self._errors.close()
        self.lease.release()

    def kill(self) -> None:
        """End it at once; whoever waits for its answer gets none."""
        self._process.kill()

    def _say(self, order: Mapping[str, Any]) -> None:
        assert self._process.stdin
        with contextlib.suppress(OSError):  # it has died, which whoever waits for an answer finds out
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()


def memory(pid: int, told: Mapping[str, Any]) -> Memory:
    """What a worker says that it holds."""
    return Memory(pid, told.get("host", 0), told.get("device", 0))


class Workers:
    """So many workers for the individuals of a search; an individual that goes on does so where it was begun."""

    def __init__(
        self, door: Door, number: int, jobs: int, say: Callable[[str], None], on_epoch: "OnEpoch | None" = None
    ) -> None:
        self._door, self._say, self._on_epoch = door, say, on_epoch or _nobody
        self._slots = Slots(jobs)
        self._number = number
        self._workers: list[Worker | None] = [None] * number
        self.homes: dict[str, int] = {}
        """The place of the worker in which an individual waits to go on, by its key."""
        self._ending = False
        self.memory: list[Memory] = []
        """After each individual."""
        self.replaced = 0
        """How many workers leaked or died."""

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        self._ending = True
        for worker in self._workers:
            if worker:
                worker.close()

    def train(self, tasks: Sequence[Task], on_end: Callable[[Task, Trained], None]) -> None:
        """Do all tasks; `on_end` is told of each as it ends, by one thread at a time.

        Raises:
            UserError: no worker can be started.
            InterruptedError: `cancel` was called.
        """
        own: dict[int, list[Task]] = {place: [] for place in range(self._number)}
        shared: queue.SimpleQueue[Task] = queue.SimpleQueue()
        for task in tasks:
            place = self.homes.get(task.key)
            shared.put(task) if place is None else own[place].append(task)
        errors: list[BaseException] = []
        lock = threading.Lock()

        def end(task: Task, trained: Trained) -> None:
            with lock:
                on_end(task, trained)

        threads = [
            threading.Thread(target=self._serve, args=(place, own[place], shared, end, errors), daemon=True)
            for place in range(min(self._number, len(tasks)) if not any(own.values()) else self._number)
        ]
        for thread in threads:
            thread.start()
        try:
            for thread in threads:
                while thread.is_alive():
                    thread.join(1)
        except BaseException:
            self.cancel()
            for thread in threads:
                thread.join()
            raise
        if errors:
            raise errors[0]

    def cancel(self) -> None:
        """End what is trained; `train` raises, in the thread that called it."""
        self._ending = True
        for worker in self._workers:
            if worker:
                worker.kill()

    def forget(self, keys: Iterable[str]) -> None:
        """Give up individuals that will not go on."""
        by_place: dict[int, list[str]] = {}
        for key in keys:
            if (place := self.homes.pop(key, None)) is not None:
                by_place.setdefault(place, []).append(key)
        for place, found in by_place.items():
            worker = self._workers[place]
            if worker and (held := worker.forget(found)):
                self._remember(place, worker, held)

    def _serve(
        self,
        place: int,
        own: list[Task],
        shared: "queue.SimpleQueue[Task]",
        end: Callable[[Task, Trained], None],
        errors: list[BaseException],
    ) -> None:
        """Do the tasks of one worker, then those that any may do."""
        try:
            for task in own:
                end(task, self._trained(place, task))
            while not self._ending and not errors:
                end(task := shared.get_nowait(), self._trained(place, task))
        except queue.Empty:
            pass
        except BaseException as error:
            errors.append(error)

    def _trained(self, place: int, task: Task) -> Trained:
        """An individual, trained by the worker at this place, or by one that replaces it."""
        began, why = time.monotonic(), ""
        for _ in range(TRIES):
            worker = self._workers[place] or self._started(place)
            told = worker.train(task, lambda number, metrics: self._on_epoch(task, number, metrics))
            if self._ending:
                raise InterruptedError("interrupted")
            if "broken" in told:
                raise UserError(f"module '{self._door.module}', which a stage names for a search: {told['broken']}")
            if told and "fresh" not in told:
                return self._taken(place, worker, task, told, time.monotonic() - began)
            why = told.get("fresh") or worker.why
            self._replace(place)
        return Trained(error=f"{why}, {TRIES} times", seconds=time.monotonic() - began)

    def _taken(self, place: int, worker: Worker, task: Task, told: dict[str, Any], seconds: float) -> Trained:
        error = str(told.get("error", ""))
        if told.get("ended") or error:
            self.homes.pop(task.key, None)
            self._remember(place, worker, memory(worker.pid, told))
        else:
            self.homes[task.key] = place
        return Trained(tuple(told["epochs"]), bool(told.get("ended")), error, seconds)

    def _remember(self, place: int, worker: Worker, held: Memory) -> None:
        """Note what a worker holds; one that leaks is replaced, once nothing waits in it."""
        self.memory.append(held)
        worker.first = worker.first or held
        more = max(held.host - worker.first.host, held.device - worker.first.device)
        if more > LEAK_BYTES and place not in self.homes.values():
            self._say(f"a worker holds {more >> 20} MB more than after its first individual, and is replaced")
            self._replace(place)

    def _replace(self, place: int) -> None:
        worker, self._workers[place] = self._workers[place], None
        if worker:
            worker.close()
            self.replaced += 1
        self.homes = {key: home for key, home in self.homes.items() if home != place}

    def _started(self, place: int) -> Worker:
        """A new worker, as soon as there is a slot for it."""
        wanted = Settings(
            gpus=1 if self._slots.gpus and self._door.settings.gpus else 0, threads=self._door.settings.threads
        )
        told = False
        while not (lease := self._slots.acquire(wanted, f"{self._door.module} (a warm worker)")):
            if self._ending:
                raise InterruptedError("interrupted")
            if not told:
                self._say(f"a worker waits for {self._slots.holders(wanted) or 'a slot'}")
                told = True
            time.sleep(POLL_SECONDS)
        try:
            worker = Worker(self._door, lease)
        except OSError as error:
            lease.release()
            raise UserError(f"'python', which stages run by, does not start: {error.strerror}") from None
        self._workers[place] = worker
        return worker


OnEpoch = Callable[[Task, int, Mapping[str, float]], None]


def _nobody(*_: object) -> None:
    """Tell nobody of an epoch."""


def count(jobs: int, settings: Settings, environment: Mapping[str, str] = os.environ) -> int:
    """How many workers a search has: one for each GPU that it may use, or for each CPU slot where there is none."""
    gpus = len(Slots(jobs, environment).gpus) if settings.gpus else 0
    return min(gpus, jobs) if gpus else jobs
