"""Which stage is next, where it runs, and what its end means for the others.

One thread, the scheduler's, prepares stages and settles them. Each stage that has to run is a `Job`, for a thread of
its own. A stage is ready once its upstreams are settled; prepared, it waits for an executor's lease; then it runs. One
that another process or stage keeps from that is blocked for a moment. The scheduler knows DVC, processes and Prefect
only through the doors of `ports`.
"""

import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from heapq import heappop, heappush
from queue import SimpleQueue

from gliaflow.core.explain import advice, sentence
from gliaflow.core.graph import Graph, Stage
from gliaflow.core.job import (
    PATIENT_SECONDS,
    POLL_SECONDS,
    Clock,
    Done,
    Inbox,
    Job,
    Surroundings,
    Threads,
    Work,
    keeps,
    waits_for,
)
from gliaflow.core.ports import Executor, Lease, Listener, Missing, NotYet, Prepared, Task, Workspace
from gliaflow.core.report import Message, Outcome, Recorded, Report, StageEnded, StageResult
from gliaflow.errors import Interrupted

TELL_SECONDS = 3.0  # between two looks at who holds what stages wait for
LAST_SECONDS = 15.0  # that stages have to end in when the run must: executors kill after 10

NOTHING: Mapping[str, float] = {}
NAMED = 3  # stages in a note

Dispatch = Callable[[Stage, Work], object]
Rank = tuple[float, int]  # the smaller, the sooner


class Scheduler:
    """All stages of `graph`, each dispatched exactly once, after its upstreams.

    A stage runs on the first of `executors` that accepts it. Of several that could start, the one with the longest path
    of stages behind it does, by the `seconds` that they took last; where stages run one by one, they do in DVC's order.
    """

    def __init__(
        self,
        workspace: Workspace,
        graph: Graph,
        executors: Sequence[Executor],
        listener: Listener,
        clock: Clock | None = None,
        seconds: Mapping[str, float] = NOTHING,
    ) -> None:
        self.graph, self.options = graph, workspace.options
        self.results: dict[str, StageResult] = {}
        self.running: dict[str, Job] = {}
        self.cancelled = False
        self.most = sys.maxsize
        """How many jobs may run at once, each of which needs a thread."""
        inbox: Inbox = SimpleQueue()
        self._around = Surroundings(workspace, listener, clock or Clock(), threading.Event(), inbox)
        self._executors = {one.address: next(e for e in executors if e.accepts(one)) for one in graph.stages}
        self._all_executors = executors
        self._failed = set[str]()
        self._dispatch: Dispatch = self._in_a_thread
        self._threads = Threads()
        self._forced = {stage.address for stage in graph.stages if self.options.force}
        self._unsettled = {stage.address: len(stage.upstreams) for stage in graph.stages}  # upstreams
        self._blocked: dict[str, float] = {}  # until when a stage waits for another process or stage
        self._waiting: dict[str, Prepared] = {}  # for a lease
        self._reasons: dict[str, str] = {}  # why a stage is blocked
        self._since: dict[str, float] = {}  # since when a stage could go on, but for what it waits for
        self._told: dict[str, str] = {}  # what was told last of a stage that waits
        self._looked = self._around.clock.now()  # for who makes stages wait
        one_by_one = self.options.serial or all(one.ahead == 1 for one in executors)
        left = {} if one_by_one else graph.remaining(seconds)
        self._rank = {address: (-left.get(address, 0.0), place) for address, place in graph.place.items()}
        self._ready: dict[int, list[tuple[Rank, str]]] = {id(one): [] for one in executors}  # a heap for each
        for address, number in self._unsettled.items():
            if not number:
                self._make_ready(address)

    @property
    def failures(self) -> list[str]:
        """The stages that failed, in DVC's order."""
        return self.graph.in_order(self._failed)

    @property
    def report(self) -> Report:
        """What became of the stages that ended."""
        found = [self.results[one.address] for one in self.graph.stages if one.address in self.results]
        return Report(tuple(found), self.options.on_error)

    def nothing_to_do(self) -> bool:
        """Whether every stage is unchanged; changes nothing, and looks no further than the first that is not."""
        addresses = [stage.address for stage in self.graph.stages]
        try:
            return not self._forced and self._around.workspace.unchanged(addresses)
        except Exception:
            return False  # of a stage that cannot be looked at; preparing it tells why

    def run(self, dispatch: Dispatch | None = None) -> Report:
        """Bring every stage to its end.

        `dispatch` has a thread call the work of a stage, again as long as `Work.again` is set; by default a thread of
        its own does.

        Raises:
            UserError: an executor cannot run what it accepts.
            InterruptedError: `cancel` was called.
        """
        self._dispatch = dispatch or self._in_a_thread
        try:
            for executor in self._all_executors:
                self._check(executor)
            while len(self.results) < len(self.graph.stages):
                if not self._step():
                    self._tell_who_waits()
                    self._receive(POLL_SECONDS if self._waiting or self._blocked else None)
        except BaseException as error:
            self._around.stopping.set()
            cut_off = list(self.running)
            for job in list(self.running.values()):
                job.stop(_signal(error))
            try:
                self._end()
            finally:
                self._note_half_written(error, cut_off)
            raise
        self._end()
        return self.report

    def _note_half_written(self, error: BaseException, cut_off: Iterable[str]) -> None:
        """Note with the error what it left of stages that ran, as `dvc repro` leaves it: their outputs as they are."""
        left = [a for a in cut_off if a not in self.results or self.results[a].outcome is Outcome.FAILED]
        if left:
            named = ", ".join(map(repr, left[:NAMED])) + (f" and {len(left) - NAMED} more" if left[NAMED:] else "")
            error.add_note(f"what {named} wrote may be half-written; the next run makes it anew")

    def _check(self, executor: Executor) -> None:
        accepted = [one for one in self.graph.stages if self._executors[one.address] is executor]
        if accepted:
            executor.check(accepted)
            if executor.travels:
                self._around.workspace.check_travels([one.address for one in accepted])

    def cancel(self) -> None:
        """End the run as an interrupt would; from any thread."""
        self.cancelled = True
        self._around.inbox.put(InterruptedError("cancelled"))

    def lost(self, address: str) -> None:
        """The thread of a stage has ended; the scheduler takes the stage for failed if its job delivered nothing."""
        error = RuntimeError("Prefect did not run it; see its log")
        self._around.inbox.put(StageResult(address, Outcome.FAILED, error=error))

    def _in_a_thread(self, stage: Stage, work: Work) -> None:
        def tries() -> None:
            try:
                work(_unlogged)
                while work.again:
                    work(_unlogged)
            finally:
                self.lost(stage.address)

        if isinstance(work, Job):
            self._threads.call(tries, stage.address)

    def _end(self) -> None:
        clock, stopping = self._around.clock, self._around.stopping
        deadline = clock.now() + LAST_SECONDS
        try:
            while self.running and (clock.now() < deadline or not stopping.is_set()):
                self._receive(POLL_SECONDS)
        finally:
            failed = bool(self._failed) and self.options.on_error != "ignore"
            try:
                self._unrecorded(self._around.workspace.close(failed, not failed and not stopping.is_set()))
            finally:
                self._threads.close()
                for executor in self._all_executors:
                    executor.close()

    def _tell_who_waits(self) -> None:
        """Tell of one stage that has waited for some time for what, and again when that changes."""
        now = self._around.clock.now()
        for address in (*self._blocked, *self._waiting):
            self._since.setdefault(address, now)
        if now - self._looked < TELL_SECONDS:
            return
        self._looked = now
        for address, text in self._waits():
            if text not in (self._told.get(address), ""):
                self._tell(address, text)
                return

    def _waits(self) -> Iterator[tuple[str, str]]:
        """The stages that have waited for some time, and for what; of those that lack only CPUs the first."""
        late = self._around.clock.now() - PATIENT_SECONDS
        for address in self._blocked:
            if self._since[address] <= late:
                yield address, f"waits: {self._reasons[address]}"
        barred: list[Executor] = []
        for address in self._waiting if len(self.running) < self.most else ():
            executor, stage = self._executors[address], self.graph.by_address[address]
            if executor in barred:
                continue
            if not stage.settings.gpus:
                barred.append(executor)
            lack = waits_for(executor, stage, idle=not self.running) if self._since[address] <= late else ""
            text = lack and f"waits for {lack}"
            if stage.settings.gpus or text not in self._told.values():  # who holds CPUs is not told of every stage
                yield address, text

    def _tell(self, address: str, text: str) -> None:
        self._told[address] = text
        self._around.listener.hear(Message(f"{address} {text}"))

    def _receive(self, seconds: float | None) -> None:
        result = self._around.clock.receive(self._around.inbox, seconds)
        if isinstance(result, InterruptedError):
            raise result
        if result and (job := self.running.pop(result.address, None)):
            job.release()  # if its thread was lost it did not do so itself
            self._settle(result)

    def _step(self) -> bool:
        """Take one step, if there is one."""
        if not self._around.inbox.empty():
            self._receive(0)
        elif self._failed and self.options.on_error == "fail":
            left = [a for a in self._unsettled if a not in self.results and a not in self.running]
            return self._skip(left, self.failures[0])
        elif self.options.serial and self.running:
            return False
        elif found := self._leased():
            self._start(*found)
        elif address := self._next():
            self._prepare(address)
        else:
            return False
        return True

    def _leased(self) -> tuple[str, Lease] | None:
        """The first waiting stage that gets a lease.

        A stage that lacks only CPUs bars those behind it, or it might never start.
        """
        barred: list[Executor] = []
        for address in self._waiting if len(self.running) < self.most else ():
            executor, stage = self._executors[address], self.graph.by_address[address]
            if executor in barred:
                continue
            if lease := executor.reserve(stage):
                return address, lease
            if not stage.settings.gpus:
                barred.append(executor)
        return None

    def _next(self) -> str | None:
        """The next stage to prepare; no more than can run soon, since what a stage reads is looked at again later."""
        now = self._around.clock.now()
        for address in [a for a, until in self._blocked.items() if until <= now]:
            del self._blocked[address]
            self._make_ready(address)
        if self.options.serial and (self._waiting or self._blocked):
            return None
        found = []
        for executor in self._all_executors:
            ready = self._ready[id(executor)]
            while ready and ready[0][1] in self.results:  # it was skipped
                heappop(ready)
            if ready and self._for_cpus(executor) < executor.ahead:
                found.append(ready)
        return heappop(min(found))[1] if found else None

    def _make_ready(self, address: str) -> None:
        """Have the stage be prepared when its turn comes."""
        heappush(self._ready[id(self._executors[address])], (self._rank[address], address))

    def _for_cpus(self, executor: Executor) -> int:
        """How many prepared stages wait for nothing but CPUs of the executor."""
        by_address = self.graph.by_address
        return sum(self._executors[a] is executor and not by_address[a].settings.gpus for a in self._waiting)

    def _prepare(self, address: str) -> None:
        clock, executor = self._around.clock, self._executors[address]
        began = clock.now()
        try:
            prepared = self._around.workspace.prepare(address, address in self._forced, executor.travels)
        except NotYet as reason:
            self._block(address, str(reason))
        except Missing as missing:
            before = self.graph.stages[: self.graph.place[address]]
            if all(stage.address in self.results for stage in before):
                self._fail(address, missing)
            else:  # one of them may make it, as it would have under `dvc repro`
                self._block(address, f"{missing}; the stages before it may make it")
                if address not in self._told:  # at once: it may be a mistake in dvc.yaml
                    self._tell(address, f"waits: {self._reasons[address]}")
        except Exception as error:
            self._fail(address, error)
        else:
            if prepared.outcome is Outcome.RUN:
                waiting = {**self._waiting, address: prepared}
                self._waiting = {a: waiting[a] for a in sorted(waiting, key=self._rank.__getitem__)}
            else:
                why, seconds = sentence(prepared.why), clock.now() - began
                self._known(StageResult(address, prepared.outcome, why, seconds, prepared.outputs))

    def _start(self, address: str, lease: Lease) -> None:
        executor, stage = self._executors[address], self.graph.by_address[address]
        prepared = self._waiting.pop(address)
        task = Task(stage, prepared, forced=address in self._forced, run_cache=self.options.run_cache)
        job = Job(self._around, executor, task, lease)
        try:
            if self._around.workspace.claim(address, executor.travels or keeps(executor, task)):
                self._dispatch(stage, job)
                self.running[address] = job
                self._since.pop(address, None)
                return
            self._make_ready(address)
        except NotYet as reason:
            self._block(address, str(reason))
        except Exception as error:
            job.release()
            self._fail(address, error)
        job.release()

    def _fail(self, address: str, error: Exception) -> None:
        if self.options.on_error == "ignore":
            self._around.workspace.discard(address)
        self._known(StageResult(address, Outcome.FAILED, error=error))

    def _block(self, address: str, why: str) -> None:
        self._reasons[address] = why
        self._blocked[address] = self._around.clock.now() + POLL_SECONDS

    def _known(self, result: StageResult) -> None:
        """Dispatch and settle a stage that runs no command."""
        self._dispatch(self.graph.by_address[result.address], Done(result))
        self._settle(result)

    def _settle(self, result: StageResult) -> None:
        self.results[result.address] = result
        if result.outcome is Outcome.FAILED:
            self._failed.add(result.address)
        if self.options.on_error != "fail" or result.outcome not in (Outcome.FAILED, Outcome.SKIPPED):
            self._unrecorded(self._around.workspace.settle(result.address))
        self._around.listener.hear(StageEnded(result, self._recorded(result)))
        if text := advice(result):
            self._around.listener.hear(Message(f"{result.address} {text}"))
        downstreams = self.graph.downstreams[result.address]
        if self.options.force_downstream and result.outcome.reproduced:
            self._forced |= set(downstreams)
        if result.outcome is Outcome.FAILED and self.options.on_error == "keep-going":
            left = [a for a in self.graph.dependents(result.address) if a not in self.results]
            self._skip(left, result.address)
        for downstream in downstreams:
            self._unsettled[downstream] -= 1
            if not self._unsettled[downstream] and downstream not in self.results:
                self._make_ready(downstream)

    def _recorded(self, result: StageResult) -> Recorded | None:
        """What DVC knows of the stage; what one had made that failed is not that of this run.

        Of one that never came to run it knows an earlier run alone.
        """
        if result.outcome is Outcome.SKIPPED or (result.outcome is Outcome.FAILED and not result.asked):
            return None
        found = self._around.workspace.recorded(result.address)
        return replace(found, outputs=()) if result.outcome is Outcome.FAILED else found

    def _unrecorded(self, errors: Mapping[str, Exception]) -> None:
        for address, error in errors.items():
            if address not in self.running:  # or it is tried again when that has ended
                self.results[address] = StageResult(address, Outcome.FAILED, error=error)
                self._failed.add(address)
                if self.options.on_error == "keep-going":
                    busy = self.results.keys() | self.running.keys()
                    self._skip((a for a in self.graph.dependents(address) if a not in busy), address)

    def _skip(self, addresses: Iterable[str], cause: str) -> bool:
        skipped = set(addresses)
        self._waiting = {a: prepared for a, prepared in self._waiting.items() if a not in skipped}
        for address in self.graph.in_order(skipped):
            self._blocked.pop(address, None)
            self._known(StageResult(address, Outcome.SKIPPED, f"'{cause}' failed"))
        return bool(skipped)


def _signal(error: BaseException) -> int:
    """What stages get when this ends the run; what SIGQUIT would have them do, leave their memory in a file, none."""
    if isinstance(error, Interrupted):
        return signal.SIGTERM if error.number == signal.SIGQUIT else error.number
    return signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM


def _unlogged(_: str) -> None:
    """Keep a line nowhere but with the listener."""
