"""One walk over the graph: which stage is next, with which slots, and what its end means for the others.

The main thread begins stages and settles them; the tries of one that has to run are a `Job`, for a thread of its own.
Knows DVC through the workspace alone, and of Prefect only that work may be lost.
"""

import random
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol

from flows.devices import Lease, Slots
from flows.explain import sentence
from flows.fallback import Fallback
from flows.graph import Graph, Stage
from flows.options import NotYet, Outcome, Row, command_failed
from flows.preflight import Missing
from flows.process import CANNOT_RUN, Ended, Process
from flows.screen import Screen
from flows.spawn import GRACE_SECONDS, Supervisor
from stages.errors import UserError

if TYPE_CHECKING:  # --fallback is for a DVC with which it cannot be imported
    from flows.workspace import Workspace

POLL_SECONDS = 0.2  # between two looks at slots and paths that another flow holds
TAIL = 20  # last lines of a failed stage
LAST_SECONDS = GRACE_SECONDS + 5  # that stages have to end in when the flow must

Log = Callable[[str], None]


class Work(Protocol):
    """What is submitted for a stage: called once a try, each time with where its lines go."""

    again: bool  # whether the last try is worth another one
    retries: int  # at most

    def __call__(self, log: Log) -> Row: ...


class Elsewhere(Protocol):
    """What runs stages on other hosts."""

    def takes(self, stage: Stage) -> bool:
        """Whether the stage runs there."""
        ...

    def job(self, walk: "Walk", stage: Stage) -> "Job":
        """Its tries."""
        ...

    def check(self, graph: Graph) -> None:
        """Raise what the user must mend before any stage runs."""
        ...

    def close(self) -> None:
        """Nothing more is to come."""
        ...


class Done:
    """A stage that runs no command."""

    again, retries = False, 0

    def __init__(self, row: Row) -> None:
        self.row = row

    def __call__(self, log: Log) -> Row:  # noqa: ARG002
        """What became of it."""
        return self.row


class Walk:
    """All stages of `graph`, each submitted exactly once, after its upstreams."""

    def __init__(
        self,
        workspace: "Workspace | Fallback",
        graph: Graph,
        slots: Slots,
        screen: Screen,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        self.workspace, self.graph, self.slots, self.screen = workspace, graph, slots, screen
        self.elsewhere = elsewhere
        self.flags = workspace.flags
        self.supervisor = Supervisor()
        self.stopping = threading.Event()
        self.inbox: SimpleQueue[Row | InterruptedError] = SimpleQueue()
        self.cancelled = False
        self.rows: dict[str, Row] = {}
        self.running: dict[str, Job] = {}
        self.forced = {stage.address for stage in graph.stages if self.flags.force}
        self._open = {stage.address: len(stage.upstreams) for stage in graph.stages}  # upstreams not settled yet
        self._fresh = [address for address, number in self._open.items() if not number]
        self._parked: dict[str, float] = {}  # when to try again what others keep from beginning
        self._hungry: list[str] = []  # begun, and waiting for slots
        self._said: set[str] = set()
        self.most = sys.maxsize  # jobs at once, each of which needs a thread

    @property
    def failures(self) -> list[str]:
        """The stages that failed, in DVC's order."""
        return self.graph.in_order(a for a, row in self.rows.items() if row.outcome is Outcome.FAILED)

    @property
    def reproduced(self) -> list[str]:
        """The stages that DVC would return, in its order."""
        return self.graph.in_order(a for a, row in self.rows.items() if row.outcome.reproduced)

    def nothing_to_do(self) -> bool:
        """Whether every stage is unchanged; changes nothing, and looks no further than the first that is not."""
        try:
            return all(s.address not in self.forced and self.workspace.unchanged(s.address) for s in self.graph.stages)
        except Exception:
            return False  # of a stage that cannot be looked at; its beginning says why

    def go(self, submit: Callable[[Stage, Work], Any]) -> None:
        """Bring every stage to its end; `submit` has a thread call the work, again as long as it says so."""
        self._submit = submit
        try:
            if self.elsewhere:
                self.elsewhere.check(self.graph)
            while len(self.rows) < len(self.graph.stages):
                if not self._advance():
                    self._await(POLL_SECONDS if self._hungry or self._parked else None)
        except BaseException as error:
            self.stopping.set()
            for job in list(self.running.values()):
                job.stop(signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM)
            raise
        finally:
            self._end()

    def _end(self) -> None:
        deadline = time.monotonic() + LAST_SECONDS
        try:
            while self.running and (time.monotonic() < deadline or not self.stopping.is_set()):
                self._await(POLL_SECONDS)
        finally:
            failed = bool(self.failures) and self.flags.on_error != "ignore"
            try:
                stage_files = not failed and not self.stopping.is_set()
                self._not_written(self.workspace.end(failed, stage_files))
            finally:
                self.supervisor.close()
                if self.elsewhere:
                    self.elsewhere.close()

    def cancel(self) -> None:
        """End it as an interrupt would; from any thread."""
        self.cancelled = True
        self.inbox.put(InterruptedError("cancelled"))

    def lost(self, address: str) -> None:
        """The work of the stage has ended; that is news only if it said nothing itself."""
        self.inbox.put(Row(address, Outcome.FAILED, error=RuntimeError("Prefect did not run it; see its log")))

    def _await(self, seconds: float | None) -> None:
        with suppress(Empty):
            row = self.inbox.get(timeout=seconds)
            if isinstance(row, InterruptedError):
                raise row
            if job := self.running.pop(row.address, None):
                job.release()  # if it was lost it did not do so itself
                self._settle(row)

    def _advance(self) -> bool:
        """Take one step, if there is one."""
        if not self.inbox.empty():
            self._await(0)
        elif self.failures and self.flags.on_error == "fail":
            first = self.failures[0]
            return self._skip([a for a in self._open if a not in self.rows and a not in self.running], first)
        elif self.flags.serial and self.running:
            return False
        elif found := self._fed():
            self._start(*found)
        elif address := self._next():
            self._begin(address)
        else:
            return False
        return True

    def _fed(self) -> tuple[Stage, "Job"] | None:
        """The first stage that gets its slots; one that lacks only CPUs bars those behind, or might never start."""
        if len(self.running) >= self.most:
            return None
        if self.elsewhere and (address := next(filter(self._away, self._hungry), "")):
            self._hungry.remove(address)
            return self.graph.by_address[address], self.elsewhere.job(self, self.graph.by_address[address])
        for address in self._hungry:
            stage = self.graph.by_address[address]
            if lease := self.slots.acquire(stage.settings):
                self._hungry.remove(address)
                return stage, Job(self, stage, lease)
            if not stage.settings.gpus:
                break
        return None

    def _away(self, address: str) -> bool:
        """Whether the stage runs on another host, and so needs no slots here."""
        return bool(self.elsewhere and self.elsewhere.takes(self.graph.by_address[address]))

    def _next(self) -> str | None:
        """The next stage to begin; no more than can run soon, since what it reads is looked at again if it waits."""
        now = time.monotonic()
        for address in [a for a, when in self._parked.items() if when <= now]:
            del self._parked[address]
            self._fresh.append(address)
        for_cpus = [a for a in self._hungry if not self.graph.by_address[a].settings.gpus]
        self._fresh = [a for a in self._fresh if a not in self.rows]
        waits = self.flags.serial and (self._hungry or self._parked)
        full = len(for_cpus) >= len(self.slots.cpus)
        fresh = [a for a in self._fresh if not full or self._away(a)]
        if not fresh or waits:
            return None
        first = min(fresh, key=self.graph.place.__getitem__)
        self._fresh.remove(first)
        return first

    def _begin(self, address: str) -> None:
        began = time.monotonic()
        try:
            outcome = self.workspace.begin(address, address in self.forced, not self._away(address))
        except NotYet as reason:
            self._park(address, str(reason))
        except Missing as missing:
            if all(stage.address in self.rows for stage in self.graph.stages[: self.graph.place[address]]):
                self._fail(address, missing)
            else:  # one of them may make it, as it would have under `dvc repro`
                self._park(address, f"{missing}; the stages before it may make it")
        except Exception as error:
            self._fail(address, error)
        else:
            if outcome is Outcome.RUN:
                self._hungry = self.graph.in_order([*self._hungry, address])
            else:
                why, seconds = self.workspace.changes.get(address, ()), time.monotonic() - began
                outputs = self.workspace.outputs(address) if outcome.reproduced else {}
                self._settle_done(Row(address, outcome, sentence(why), seconds, outputs))

    def _start(self, stage: Stage, job: "Job") -> None:
        try:
            if self.workspace.start(stage.address, not self._away(stage.address)):
                self._submit(stage, job)
                self.running[stage.address] = job
                return
            self._fresh.append(stage.address)
        except NotYet as reason:
            self._park(stage.address, str(reason))
        except Exception as error:
            job.release()
            self._fail(stage.address, error)
        job.release()

    def _fail(self, address: str, error: Exception) -> None:
        if self.flags.on_error == "ignore":
            self.workspace.give_up(address)
        self._settle_done(Row(address, Outcome.FAILED, error=error))

    def _park(self, address: str, why: str) -> None:
        if address not in self._said:
            self._said.add(address)
            self.screen.say(f"{address} waits: {why}")
        self._parked[address] = time.monotonic() + POLL_SECONDS

    def _settle_done(self, row: Row) -> None:
        self._submit(self.graph.by_address[row.address], Done(row))
        self._settle(row)

    def _settle(self, row: Row) -> None:
        self.rows[row.address] = row
        if self.flags.on_error != "fail" or row.outcome not in (Outcome.FAILED, Outcome.SKIPPED):
            self._not_written(self.workspace.settle(row.address))
        self.screen.ended(row)
        downstreams = self.graph.downstreams[row.address]
        if self.flags.force_downstream and row.outcome.reproduced:
            self.forced |= set(downstreams)
        if row.outcome is Outcome.FAILED and self.flags.on_error == "keep-going":
            self._skip((a for a in self.graph.dependents(row.address) if a not in self.rows), row.address)
        for downstream in downstreams:
            self._open[downstream] -= 1
            if not self._open[downstream] and downstream not in self.rows:
                self._fresh.append(downstream)

    def _not_written(self, errors: Mapping[str, Exception]) -> None:
        for address, error in errors.items():
            if address not in self.running:  # or it is tried again when that has ended
                self.rows[address] = Row(address, Outcome.FAILED, error=error)
                if self.flags.on_error == "keep-going":
                    busy = self.rows.keys() | self.running.keys()
                    self._skip((a for a in self.graph.dependents(address) if a not in busy), address)

    def _skip(self, addresses: Iterable[str], cause: str) -> bool:
        skipped = set(addresses)
        self._hungry = [a for a in self._hungry if a not in skipped]
        for address in self.graph.in_order(skipped):
            self._parked.pop(address, None)
            self._settle_done(Row(address, Outcome.SKIPPED, f"'{cause}' failed"))
        self._fresh = [a for a in self._fresh if a not in skipped]  # at the end: a skipped one frees the next
        return bool(skipped)


class Job:
    """The tries of one stage that has to run; it is begun, and has its slots for the first."""

    def __init__(self, walk: Walk, stage: Stage, lease: Lease | None) -> None:
        self.walk, self.stage, self.workspace = walk, stage, walk.workspace
        self.again, self.tries, self.retries = False, 0, stage.settings.retries
        self.outcome = Outcome.RUN
        self._lease = lease
        self._process: Process | None = None

    def release(self) -> None:
        """Give the slots and the paths back, if it still has them."""
        lease, self._lease = self._lease, None
        if lease:
            lease.release()
        with suppress(Exception):
            self.workspace.release(self.stage.address)

    def stop(self, number: int) -> None:
        """Signal what runs; there is no other try."""
        if self._process:
            self._process.stop(number)

    def __call__(self, log: Log) -> Row:
        """Try once."""
        address, began, tail = self.stage.address, time.monotonic(), deque[str](maxlen=TAIL)
        self.tries += 1
        self.again = False

        def show(text: str, whole: bool) -> None:
            self.walk.screen.line(address, text, whole)
            if whole:
                tail.append(text)
                log(text.replace("\0", "\ufffd"))  # PostgreSQL takes no NUL, and with it would go its whole batch

        try:
            outputs = self.attempt(show)
            row = Row(address, self.outcome, sentence(self.workspace.changes.get(address, ())), outputs=outputs)
        except Exception as error:
            self.release()
            row = Row(address, Outcome.FAILED, error=error, tail=list(tail))
        row.seconds = time.monotonic() - began
        if not self.again:
            self.walk.inbox.put(row)
        return row

    def attempt(self, show: Callable[[str, bool], None]) -> dict[str, str]:
        """The outputs, path → hash, recorded; `again` says whether a failure is worth another try."""
        if self.tries > 1:
            self._wait(show)
        return self._judged(self._run(show))

    def _run(self, show: Callable[[str, bool], None]) -> Ended:
        commands = self.workspace.commands(self.stage.address)
        assert self._lease
        try:
            environment = {"PYTHONUNBUFFERED": "1", **commands.env, **self._lease.environment}
            self._process = self.walk.supervisor.spawn(
                commands.arguments, commands.cwd, environment, self._lease.descriptors
            )
            self.workspace.hold(self.stage.address, self._process.pid)
            if self.walk.stopping.is_set():
                raise InterruptedError("interrupted")
            self.walk.screen.began(self.stage.address, commands.lines)
            return self._process.run(show, self.stage.settings.timeout)
        finally:
            if self._process:
                self._process.close()
            lease, self._lease = self._lease, None
            lease.release()

    def _judged(self, ended: Ended) -> dict[str, str]:
        """The outputs, recorded, if the commands ended well."""
        wanted = self.stage.settings
        if self.walk.stopping.is_set():
            raise InterruptedError("interrupted")
        if ended.left and not ended.timed_out:
            self.walk.screen.say(f"{self.stage.address}: ended {ended.left} processes that it left running")
        if not ended.timed_out and not ended.code:
            return self.workspace.finish(self.stage.address)
        self.again = self.tries <= wanted.retries and (ended.timed_out or wanted.worth_retrying(ended.code))
        if ended.code == CANNOT_RUN:
            raise UserError(f"'{ended.command}': a command of it was not found; install it or mend `cmd:` in dvc.yaml")
        if ended.timed_out:
            raise TimeoutError(f"ran longer than its timeout of {wanted.timeout:g} s and was ended")
        raise command_failed(ended.command, ended.exit_code)

    def _wait(self, show: Callable[[str, bool], None]) -> None:
        """Back off exponentially, with jitter; then clear the outputs, and take slots again."""
        wanted = self.stage.settings
        seconds = wanted.retry_delay * 2 ** (self.tries - 2) * random.uniform(0.5, 1.5)
        show(f"try {self.tries} of {wanted.retries + 1} in {seconds:.1f} s", True)
        waited = self.walk.stopping.wait(seconds)
        while not waited and not (lease := self.walk.slots.acquire(wanted)):
            waited = self.walk.stopping.wait(POLL_SECONDS)
        if waited:
            raise InterruptedError("interrupted")
        self._lease = lease
        self.workspace.clear(self.stage.address)
