"""The tries of one stage: launch it, follow it, record what it made, and wait before another try.

A job runs in a thread of its own, or in one of Prefect's, which calls it once a try. The scheduler hears of it only
through what the job delivers at its end.
"""

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue
from typing import Protocol

from gliaflow.core.explain import sentence
from gliaflow.core.graph import Stage
from gliaflow.core.ports import Ended, Executor, Lease, Listener, Run, Task, Workspace
from gliaflow.core.report import Asked, Began, Event, Line, Message, Outcome, Retry, StageResult, Undeclared, Used
from gliaflow.errors import one_line

POLL_SECONDS = 0.2  # between two looks at slots and paths that another run holds
PATIENT_SECONDS = 3.0  # that a stage waits before it is told for what
STARVED = "CPUs or GPUs that another run on this machine holds"
JITTER = random.Random()  # a program that calls us may have seeded the common one
TAIL = 20  # last lines of a failed stage, kept for whoever asks why

Log = Callable[[str], object]
Inbox = SimpleQueue[StageResult | InterruptedError]


class Work(Protocol):
    """What a thread does for a stage: it is called once a try, each time with where the stage's lines go."""

    again: bool
    """Whether the last try is worth another one."""
    retries: int
    """How many further tries there are at most."""

    def __call__(self, log: Log) -> StageResult:
        """Try once."""
        ...


class Done:
    """The work of a stage that runs no command: its result is known."""

    again, retries = False, 0

    def __init__(self, result: StageResult) -> None:
        self.result = result

    def __call__(self, log: Log) -> StageResult:  # noqa: ARG002
        """What became of the stage."""
        return self.result


class Clock:
    """Time, and waiting for something that another thread does. A test has a clock of its own."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Wait until the event is set, `seconds` at most; whether it is set."""
        return event.wait(seconds)

    def receive(self, inbox: Inbox, seconds: float | None) -> StageResult | InterruptedError | None:
        """The next that comes, within `seconds` if given; None if nothing came."""
        with suppress(Empty):
            return inbox.get(timeout=seconds)
        return None


class Threads:
    """Threads that are used again, since DVC opens its databases once for each; none keeps the process from ending."""

    def __init__(self) -> None:
        self._all: list[SimpleQueue[Callable[[], None] | None]] = []
        self._idle: list[SimpleQueue[Callable[[], None] | None]] = []

    def call(self, work: Callable[[], None], name: str) -> None:
        """Have a thread do the work, under this name, and a new one if all are busy."""
        try:
            todo = self._idle.pop()
        except IndexError:
            todo = SimpleQueue()
            self._all.append(todo)
            threading.Thread(target=self._work, args=(todo,), daemon=True).start()

        def named() -> None:
            threading.current_thread().name = name
            work()

        todo.put(named)

    def close(self) -> None:
        """Each thread ends once it has no work."""
        for todo in self._all:
            todo.put(None)

    def _work(self, todo: "SimpleQueue[Callable[[], None] | None]") -> None:
        while work := todo.get():
            work()  # one that raises is the thread's last
            self._idle.append(todo)


def waits_for(executor: Executor, stage: Stage, idle: bool) -> str:
    """What the stage waits for, as a phrase; of an executor that has no word for it, only where the run is `idle`."""
    tells = getattr(executor, "holders", None)  # a package may bring one that is older than this method
    return str(tells(stage)) if tells else STARVED if idle else ""


def keeps(executor: Executor, task: Task) -> bool:
    """Whether a try that a killed run launched may still end well, so that what it made must stay.

    Raises:
        NotYet: one is not over, and must be before the stage may be claimed.
    """
    asks = getattr(executor, "keeps", None)  # few have it
    return bool(asks and asks(task))


def shows(executors: Sequence[Executor], stage: Stage, cwd: str) -> str:
    """What would be submitted for a stage that runs in the folder `cwd`; nothing where its executor submits nothing."""
    tells = getattr(next((one for one in executors if one.accepts(stage)), None), "shows", None)
    return str(tells(stage, cwd)) if tells else ""


@dataclass(frozen=True)
class Surroundings:
    """What all jobs of a run share."""

    workspace: Workspace
    listener: Listener
    clock: Clock
    stopping: threading.Event
    """Set when the run ends before its stages do."""
    inbox: Inbox
    """Takes the result of every job."""


class Job:
    """The tries of one stage that has to run; it is claimed, and has what it needs for the first try."""

    def __init__(self, around: Surroundings, executor: Executor, task: Task, lease: Lease) -> None:
        self.again, self.retries = False, executor.tries(task.stage) - 1
        self._around, self._executor, self._task = around, executor, task
        self._lease: Lease | None = lease
        self._run: Run | None = None
        self._number, self._delay, self._why = 0, 0.0, ""
        self._used: Used | None = None
        self._slots: tuple[str, ...] = ()
        self._undeclared: Undeclared | None = None

    @property
    def address(self) -> str:
        """The stage."""
        return self._task.stage.address

    def release(self) -> None:
        """Give the lease and the paths back, if the job still has them."""
        lease, self._lease = self._lease, None
        if lease:
            lease.release()
        with suppress(Exception):
            self._around.workspace.release(self.address)

    def stop(self, number: int) -> None:
        """Signal what runs; the scheduler has set `stopping`, so there is no other try."""
        if self._run:
            self._run.stop(number)

    def __call__(self, log: Log) -> StageResult:
        """Try once; the result is delivered unless another try follows."""
        tail = _Tail(self._around.listener, log, self._around.clock)
        self._number += 1
        self.again = False
        try:
            outcome, outputs = self._try(tail)
            seconds = self._around.clock.now() - tail.began
            if self._used:  # of a try that went on while nobody listened
                seconds = max(seconds, self._used.wall_seconds)
            why, undeclared = sentence(self._task.prepared.why), self._undeclared
            result = StageResult(self.address, outcome, why, seconds, outputs, undeclared=undeclared)
        except Exception as error:
            self.release()
            seconds = self._around.clock.now() - tail.began
            lines = tuple(tail.lines)
            result = StageResult(
                self.address, Outcome.FAILED, seconds=seconds, error=error, tail=lines, undeclared=self._undeclared
            )
        wanted = self._task.stage.settings
        asked = Asked(wanted.cpus, wanted.gpus, wanted.memory(self._number) or None)
        result = replace(result, used=self._used, asked=asked, slots=self._slots)
        if not self.again:
            self._around.inbox.put(result)
        return result

    def _try(self, tail: "_Tail") -> tuple[Outcome, dict[str, str]]:
        """How the stage came to its outputs, path → hash, which are recorded; raises what it failed with."""
        self._used = None
        if self._number > 1:
            self._back_off(tail)
        ended = self._launched(tail)
        self._used, self._undeclared = ended.used, ended.undeclared
        if self._around.stopping.is_set():
            raise InterruptedError("interrupted")
        if ended.error:
            self.again, self._delay = ended.again and self._number <= self.retries, ended.delay
            self._why = one_line(ended.error)
            raise ended.error
        outcome = ended.reply.outcome if ended.reply else Outcome.RUN
        return outcome, self._around.workspace.finish(self.address, ended.reply)

    def _launched(self, tail: "_Tail") -> Ended:
        assert self._lease
        self._slots = tuple(getattr(self._lease, "slots", ()))  # a lease need not have any
        try:
            self._run = self._executor.launch(replace(self._task, number=self._number), self._lease)
            try:
                self._around.workspace.hold(self.address, self._run.pid)
                if self._around.stopping.is_set():
                    raise InterruptedError("interrupted")
                return self._run.wait(tail)
            finally:
                self._run.close()
        finally:
            lease, self._lease = self._lease, None
            lease.release()

    def _back_off(self, tail: "_Tail") -> None:
        """Wait exponentially longer, with jitter; then take a lease again, and clear the outputs."""
        seconds = self._delay * 2 ** (self._number - 2) * JITTER.uniform(0.5, 1.5)
        self._around.listener.hear(Retry(self.address, self._number, self.retries + 1, seconds, self._why))
        if not self._executor.travels:  # the executor's own words tell why a host is given up
            tail.hear(Line(self.address, f"try {self._number} of {self.retries + 1} in {seconds:.1f} s"))
        clock, stopping = self._around.clock, self._around.stopping
        stage = replace(self._task.stage, settings=self._task.stage.settings.of_try(self._number))
        stopped, since, told = clock.wait(stopping, seconds), clock.now(), False
        while not stopped and not (lease := self._executor.reserve(stage)):
            if not told and clock.now() - since > PATIENT_SECONDS:
                told = True
                if lack := waits_for(self._executor, stage, idle=False):
                    self._around.listener.hear(Message(f"{self.address} waits for {lack}"))
            stopped = clock.wait(stopping, POLL_SECONDS)
        if stopped:
            raise InterruptedError("interrupted")
        self._lease = lease
        if not self._executor.travels:
            self._around.workspace.clear(self.address)


class _Tail:
    """Passes a stage's events on, and keeps its last lines, and when the commands of the try began."""

    def __init__(self, listener: Listener, log: Log, clock: Clock) -> None:
        self.lines = deque[str](maxlen=TAIL)
        self.began = clock.now()  # until they do: a cluster may let them wait for hours
        self._listener, self._log, self._clock = listener, log, clock

    def hear(self, event: Event) -> None:
        self._listener.hear(event)
        if isinstance(event, Began):
            self.began = self._clock.now()
        if isinstance(event, Line) and event.whole:
            self.lines.append(event.text)
            self._log(event.text.replace("\0", "\ufffd"))  # PostgreSQL takes no NUL; with it would go its whole batch
