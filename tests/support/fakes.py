"""A workspace, executors and a clock without files, processes or threads: a whole run is played in one thread, seeded.

`World` decides by its seed what becomes of every stage, in which order threads get on, and how time passes. Each fake
checks, whenever it is called, that the scheduler may call it now.
"""

import random
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.job import Clock, Inbox, Job, Work
from gliaflow.core.options import Options
from gliaflow.core.ports import Commands, Ended, Foreseen, Lease, Listener, Missing, NotYet, Prepared, Reply, Run, Task
from gliaflow.core.report import Began, Event, Line, Outcome, Output, Recorded, StageEnded, StageResult
from gliaflow.core.scheduler import Scheduler

PATIENCE_SECONDS = 10_000  # far more than any fate takes
NOTHING = Commands(["true"], [["true"]], ".")


class Deadlock(AssertionError):
    """The scheduler waits for ever: no work is left that could wake it."""


@dataclass
class Fate:
    """What becomes of one stage."""

    outcome: Outcome = Outcome.RUN
    """Of preparing it."""
    busy: int = 0
    """How often another process keeps it from being prepared."""
    stale: int = 0
    """How often it must be prepared anew when it is claimed."""
    held: int = 0
    """How often another process keeps it from being claimed."""
    broken: Exception | None = None
    """What preparing it raises."""
    tries: Sequence[Ended] = (Ended(),)
    """How its tries end; after them, well."""
    unclear: bool = False
    """Whether recording it fails."""
    thread_lost: bool = False
    """Whether the thread of its job ends without a word."""


@dataclass
class World:
    """All that the scheduler does not decide."""

    seed: int
    graph: Graph
    options: Options = field(default_factory=Options)
    fates: dict[str, Fate] = field(default_factory=dict)
    cancel_after: int | None = None
    """After how many steps of threads somebody cancels the run."""

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.now, self.steps = 0.0, 0
        self.pending: list[tuple[Stage, Work]] = []
        self.dispatched: list[str] = []
        self.scheduler: Scheduler | None = None

    def fate(self, address: str) -> Fate:
        """That of a stage; an ordinary one runs well at once."""
        return self.fates.setdefault(address, Fate())

    def dispatch(self, stage: Stage, work: Work) -> None:
        """Take the work of a stage; a thread gets to it later."""
        self.dispatched.append(stage.address)
        if isinstance(work, Job):
            self.pending.append((stage, work))

    def step(self) -> None:
        """Let the thread of some stage get on, for one try."""
        assert self.scheduler
        self.steps += 1
        if self.steps == self.cancel_after:
            self.scheduler.cancel()
        stage, work = self.pending.pop(self.random.randrange(len(self.pending)))
        if self.fate(stage.address).thread_lost:
            self.scheduler.lost(stage.address)
            return
        work(lambda _: None)
        if work.again:
            self.pending.append((stage, work))
        else:
            self.scheduler.lost(stage.address)  # as a thread that ends does; it is no news

    def play(self, *executors: "FakeExecutor", listener: "Ear | None" = None) -> "FakeWorkspace":
        """Bring the run to its end; the workspace as the scheduler left it."""
        workspace = FakeWorkspace(self)
        self.scheduler = Scheduler(workspace, self.graph, executors, listener or Ear(), FakeClock(self))
        try:
            self.scheduler.run(self.dispatch)
        finally:
            workspace.check_end()
            for executor in executors:
                executor.check_end()
        return workspace


class FakeClock(Clock):
    """Time passes when the scheduler waits; whoever waits lets the others get on."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        """Seconds since the world began; no run takes `PATIENCE_SECONDS`."""
        if self._world.now > PATIENCE_SECONDS:
            raise Deadlock(f"after {PATIENCE_SECONDS} s the run has not ended")
        return self._world.now

    def wait(self, event: threading.Event, seconds: float) -> bool:
        """Let another thread get on, and time pass."""
        if self._world.pending and self._world.random.random() < 0.7:
            self._world.step()
        self._world.now += seconds
        self.now()
        return event.is_set()

    def receive(self, inbox: Inbox, seconds: float | None) -> StageResult | InterruptedError | None:
        """Let threads get on until one has delivered, or time pass."""
        while inbox.empty():
            patient = seconds is None or (seconds and self._world.random.random() < 0.8)
            if self._world.pending and patient:
                self._world.step()
            elif seconds is None:
                raise Deadlock("nothing is left that could wake the scheduler")
            else:
                self._world.now += seconds
                return None
        return inbox.get_nowait()


class FakeWorkspace:
    """A workspace of nothing but the stages' states."""

    def __init__(self, world: World) -> None:
        self.options, self._world = world.options, world
        self.finished: list[str] = []
        self.discarded: list[str] = []
        self.settled: list[str] = []
        self.prepared: set[str] = set()
        self.claimed: set[str] = set()
        self.held: dict[str, int] = {}
        self.closed: list[tuple[bool, bool]] = []

    def plan(self, targets: Iterable[str] = ()) -> Graph:
        """The graph of the world."""
        assert not list(targets)
        return self._world.graph

    def check_travels(self, addresses: Iterable[str]) -> None:
        """Every stage travels."""
        assert not self.prepared, list(addresses)

    def unchanged(self, addresses: Iterable[str]) -> bool:
        """Whether preparing them would find them so."""
        return all(self._world.fate(address).outcome is Outcome.UNCHANGED for address in addresses)

    def forecast(self, address: str, coming: Mapping[str, object], force: bool = False) -> Foreseen:  # noqa: ARG002
        """Nothing but whether it changed."""
        changed = force or not self.unchanged([address])
        return Foreseen(changed, Outcome.RUN if changed else Outcome.UNCHANGED)

    def prepare(self, address: str, force: bool = False, travels: bool = False) -> Prepared:  # noqa: ARG002
        """What its fate tells; only after its upstreams."""
        fate, upstreams = self._world.fate(address), self._world.graph.by_address[address].upstreams
        if self._world.scheduler:
            results = self._world.scheduler.results
            ended = {results[upstream].outcome for upstream in upstreams}
            assert self.options.on_error == "ignore" or not ended & {Outcome.FAILED, Outcome.SKIPPED}, address
            assert address not in results
        else:
            assert set(upstreams) <= set(self.settled)
        assert address not in self.claimed
        if fate.busy:
            fate.busy -= 1
            raise NotYet("another process works on it")
        if fate.broken:
            raise fate.broken
        self.prepared.add(address)
        outcome = Outcome.RUN if force else fate.outcome
        return Prepared(outcome, commands=NOTHING if outcome is Outcome.RUN else None)

    def claim(self, address: str, travels: bool = False) -> bool:  # noqa: ARG002
        """Hold its paths."""
        fate = self._world.fate(address)
        assert address in self.prepared
        assert address not in self.held
        if fate.held:
            fate.held -= 1
            self.prepared.discard(address)
            raise NotYet("another process reads it")
        if fate.stale:
            fate.stale -= 1
            self.prepared.discard(address)
            return False
        self.claimed.add(address)
        self.held[address] = 0
        return True

    def hold(self, address: str, pid: int) -> None:
        """By a process."""
        assert address in self.claimed
        assert address not in self.finished
        self.held[address] = pid

    def release(self, address: str) -> None:
        """If they are held."""
        self.held.pop(address, None)

    def clear(self, address: str) -> None:
        """Between two tries."""
        assert address in self.claimed
        assert address not in self.finished

    def finish(self, address: str, reply: Reply | None = None) -> dict[str, str]:  # noqa: ARG002
        """Record it, once."""
        assert address in self.claimed
        assert address not in self.finished
        self.release(address)
        if self._world.fate(address).unclear:
            raise ValueError("a dependency changed while the stage ran")
        self.finished.append(address)
        return {f"{address}.txt": "hash"}

    def discard(self, address: str) -> None:
        """Remember it."""
        self.discarded.append(address)

    def settle(self, address: str) -> dict[str, Exception]:
        """Once a stage."""
        assert address not in self.settled
        assert not self.closed
        self.settled.append(address)
        return {}

    def recorded(self, address: str) -> Recorded:
        """An output under its name."""
        return Recorded({"seed.txt": "hash"}, {}, [Output(f"{address}.txt", "hash")])

    def close(self, failed: bool, complete: bool) -> dict[str, Exception]:
        """Once."""
        assert not self.closed
        self.closed.append((failed, complete))
        return {}

    def check_end(self) -> None:
        """Nothing is held, and the workspace was closed."""
        assert self.held == {}, "paths stay held"
        assert len(self.closed) == 1


class FakeLease:
    """Slots of a fake executor."""

    def __init__(self, executor: "FakeExecutor", cpus: int, gpus: int) -> None:
        self.executor, self.cpus, self.gpus = executor, cpus, gpus

    def release(self) -> None:
        """Once."""
        assert self in self.executor.leases, "released twice"
        self.executor.leases.remove(self)


class FakeExecutor:
    """Slots, and runs whose ends are their stages' fates; with `pool` it takes the stages of that pool alone."""

    def __init__(self, world: World, cpus: int = 2, gpus: int = 1, pool: str | None = None) -> None:
        self._world, self.cpus, self.gpus, self.pool = world, cpus, gpus, pool
        self.travels, self.ahead = pool is not None, cpus
        self.leases: list[FakeLease] = []
        self.launched: Counter[str] = Counter()
        self.running: list[str] = []
        self.closed = 0
        self.held_by = ""
        """Who has its CPUs, as a phrase."""

    def accepts(self, stage: Stage) -> bool:
        """Those of its pool."""
        return self.pool is None or stage.settings.pool == self.pool

    def check(self, stages: Sequence[Stage]) -> None:
        """Before anything was launched."""
        assert stages
        assert not self.launched

    def tries(self, stage: Stage) -> int:
        """One, and the stage's retries."""
        return stage.settings.retries + 1

    def reserve(self, stage: Stage) -> Lease | None:
        """If there is room."""
        cpus, gpus = min(stage.settings.cpus, self.cpus), min(stage.settings.gpus, max(self.gpus, 1))
        used = [sum(lease.cpus for lease in self.leases), sum(lease.gpus for lease in self.leases)]
        if used[0] + cpus > self.cpus or used[1] + gpus > max(self.gpus, 1):
            return None
        self.leases.append(FakeLease(self, cpus, gpus))
        return self.leases[-1]

    def holders(self, stage: Stage) -> str:
        """Itself, of whatever it has not left."""
        used = [sum(lease.cpus for lease in self.leases), sum(lease.gpus for lease in self.leases)]
        gpus = stage.settings.gpus and used[1] + min(stage.settings.gpus, max(self.gpus, 1)) > max(self.gpus, 1)
        return "a GPU that this run holds" if gpus else self.held_by

    def launch(self, task: Task, lease: Lease) -> Run:
        """One try, with a lease of this executor."""
        assert lease in self.leases
        assert task.stage.address not in self.running
        assert self.accepts(task.stage)
        self.launched[task.stage.address] += 1
        assert task.number == self.launched[task.stage.address] <= self.tries(task.stage)
        return FakeRun(self._world, self, task)

    def close(self) -> None:
        """Once."""
        self.closed += 1

    def check_end(self) -> None:
        """No slot stays taken."""
        assert self.leases == [], "slots stay taken"
        assert self.running == []
        assert self.closed == 1


class FakeRun:
    """One try."""

    pid = 4711

    def __init__(self, world: World, executor: FakeExecutor, task: Task) -> None:
        self._world, self._executor, self._task = world, executor, task
        self._stopped = False

    def wait(self, listener: Listener) -> Ended:
        """End as the stage's fate is; others get on while it is pending."""
        address = self._task.stage.address
        self._executor.running.append(address)
        listener.hear(Began(address, ["true"]))
        listener.hear(Line(address, "a line"))
        self._executor.running.remove(address)
        if self._stopped:
            return Ended(InterruptedError("stopped"))
        tries = self._world.fate(address).tries
        ended = tries[self._task.number - 1] if self._task.number <= len(tries) else Ended()
        if self._executor.travels and not ended.error:
            ended = replace(ended, reply=Reply(Outcome.RUN, "key", "value"))
        return ended

    def stop(self, number: int) -> None:  # noqa: ARG002
        """It ends as soon as it gets on."""
        self._stopped = True

    def close(self) -> None:
        """Nothing of it is left."""


class Ear:
    """A listener that keeps what it hears, and checks the order."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.ended: dict[str, StageResult] = {}
        self.began: Counter[str] = Counter()
        self.lines: defaultdict[str, int] = defaultdict(int)

    def hear(self, event: Event) -> None:
        """Keep it."""
        self.events.append(event)
        if isinstance(event, Began):
            assert event.address not in self.ended
            self.began[event.address] += 1
        elif isinstance(event, Line):
            self.lines[event.address] += 1
        elif isinstance(event, StageEnded):
            assert event.result.address not in self.ended
            self.ended[event.result.address] = event.result


def missing(address: str) -> Missing:
    """What a workspace raises of a dependency that is not there."""
    return Missing(f"stage '{address}' reads 'x', which is not there")
