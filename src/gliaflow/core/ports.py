"""The doors of the scheduler: what it asks of a workspace, of an executor and of a listener, and what passes through.

Whoever implements a protocol of this module can stand behind it: DVC's workspace or the fallback; processes of this
host or the hosts of a work pool; a terminal or Prefect.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.options import Options
from gliaflow.core.report import Change, Event, Outcome, Recorded, Undeclared, Used
from gliaflow.errors import UserError


class NotYet(Exception):
    """A stage cannot be prepared or claimed now; the scheduler tries again later."""


class Missing(UserError):
    """What a stage reads is not there; a stage before it may make it, although none declares it."""


class NotMade(UserError):
    """The own data of a stage is not there, and no command of a run makes it: what was added, imported or frozen."""


@dataclass(frozen=True)
class Commands:
    """What a stage executes."""

    lines: Sequence[str]
    """As they stand in dvc.yaml."""
    arguments: Sequence[Sequence[str]]
    """Each line as the arguments of a process."""
    cwd: str
    """The folder to run in."""
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment of the processes."""
    prefix: Sequence[str] = ()
    """What stands before the arguments of each: a program that starts them and looks at them."""


@dataclass(frozen=True)
class Parcel:
    """A stage that is to run in another workspace; plain data, which travels as the parameters of a flow."""

    address: str
    """DVC's name of the stage, seen from `folder`."""
    folder: str
    """The working directory, from the root of the git repository."""
    dvc_root: str
    """The folder that holds `.dvc`, from the root of the git repository."""
    key: str
    """The key of the run in DVC's run-cache: a hash of all that the stage reads."""
    reads: dict[str, str]
    """Hash or value of each dependency and parameter, by name."""
    needs: list[dict[str, object]]
    """Outputs of other stages that the stage reads, as in dvc.lock, their paths from `dvc_root`."""
    unread: tuple[str, ...] = ()
    """Outputs that the stage does not read, from the root of the git repository: they need not travel."""


@dataclass(frozen=True)
class Prepared:
    """What a workspace found of a stage: it is settled already, or its commands have to run."""

    outcome: Outcome
    """`RUN` if the commands have to run; else what became of the stage."""
    why: tuple[Change, ...] = ()
    """What makes the stage run."""
    outputs: Mapping[str, str] = field(default_factory=dict)
    """Path → hash of what was restored or verified."""
    commands: Commands | None = None
    """What the stage executes, if it has to run."""
    parcel: Parcel | None = None
    """The stage as it travels, if it has to run on another host."""
    key: str = ""
    """Of the run in DVC's run-cache, if it has to run: a hash of all that the stage reads; empty where nobody knows."""
    outs: tuple[str, ...] = ()
    """The paths of what it will make here, if it has to run."""


class Coming(Enum):
    """What will lie at a path of which no hash is known yet."""

    OPEN = "what a stage makes there that is to run"
    GONE = "nothing: the stage that makes it fails"


@dataclass(frozen=True)
class Foreseen:
    """What a stage would come to, with nothing changed to find out."""

    changed: bool
    """Whether DVC would run or restore the stage as things are now."""
    outcome: Outcome = Outcome.RUN
    """What a run would report of the stage, if its commands end well."""
    certain: bool = True
    """Whether it is known by now; if not, the stage may come to less once what it reads is there."""
    why: tuple[Change, ...] = ()
    """What makes the stage run, given the outputs that are to come."""
    error: Exception | None = None
    """What the stage would fail with."""
    open: frozenset[str] = frozenset()
    """The paths of outputs that the stage reads and nobody knows yet."""
    cwd: str = ""
    """The folder that its commands would run in, if they may have to."""
    coming: Mapping[str, object] = field(default_factory=dict)
    """What will lie at the outputs, by path, where that is not what lies there now: hash and size, or a `Coming`."""


class Workspace(Protocol):
    """What the scheduler asks of a DVC workspace."""

    @property
    def options(self) -> Options:
        """What was asked of the run, and what DVC's configuration adds."""
        ...

    def plan(self, targets: Iterable[str] = ()) -> Graph:
        """The stages that DVC would reproduce for `targets`."""
        ...

    def check_travels(self, addresses: Iterable[str]) -> None:
        """Look for what keeps these stages from running in another workspace, before anything runs.

        Raises:
            UserError: the user must change something first.
        """
        ...

    def unchanged(self, addresses: Iterable[str]) -> bool:
        """Whether `dvc repro` would skip all these stages as things are now."""
        ...

    def forecast(self, address: str, coming: Mapping[str, object], force: bool = False) -> Foreseen:
        """What the stage would come to, given what will lie at the paths in `coming`; changes nothing."""
        ...

    def prepare(self, address: str, force: bool, travels: bool) -> Prepared:
        """Do all that needs no command; `travels` tells that the stage would run in another workspace.

        Raises:
            NotYet: the stage must wait for another process or stage.
            Exception: the stage fails with it.
        """
        ...

    def claim(self, address: str, travels: bool) -> bool:
        """Hold the paths of a prepared stage and remove its old outputs; False if it must be prepared anew.

        Raises:
            NotYet: another process works on the paths.
        """
        ...

    def hold(self, address: str, pid: int) -> None:
        """Have the stage's paths be busy as long as process `pid` lives."""
        ...

    def release(self, address: str) -> None:
        """Give the stage's paths back, if the run holds them."""
        ...

    def clear(self, address: str) -> None:
        """Remove the outputs of a try that failed."""
        ...

    def finish(self, address: str, reply: "Reply | None" = None) -> dict[str, str]:
        """Record what the stage made, here or as `reply` names it; its outputs, path → hash."""
        ...

    def discard(self, address: str) -> None:
        """Remove the outputs of a stage that will not run, as DVC does before a stage that then fails."""
        ...

    def settle(self, address: str) -> dict[str, Exception]:
        """Nothing more is to come of the stage; the stages that could not be recorded, and why."""
        ...

    def recorded(self, address: str) -> Recorded:
        """What is known of the stage by now, without looking at a file."""
        ...

    def close(self, failed: bool, complete: bool) -> dict[str, Exception]:
        """Record what is not recorded yet; `complete` tells that the run ended well. What `settle` returns."""
        ...


class Lease(Protocol):
    """What a stage holds of an executor until it is released."""

    def release(self) -> None:
        """Give it back."""
        ...


@dataclass(frozen=True)
class Task:
    """One try of a stage, as an executor gets it."""

    stage: Stage
    prepared: Prepared
    number: int = 1
    """Which try it is."""
    forced: bool = False
    """Whether the stage runs although nothing changed."""
    run_cache: bool = True
    """Whether another host may restore the stage rather than run it."""


@dataclass(frozen=True)
class Reply:
    """What another host made of a stage: a record of DVC's run-cache, whose objects this cache holds by now."""

    outcome: Outcome
    key: str
    value: str


@dataclass(frozen=True)
class Ended:
    """How one try of a stage ended."""

    error: Exception | None = None
    """Why it failed; None if it ended well."""
    again: bool = False
    """Whether another try may end better."""
    delay: float = 0.0
    """Seconds before the first further try; each later one waits twice as long as the one before."""
    reply: Reply | None = None
    """What another host made, if the stage ran there."""
    used: Used | None = field(default=None, compare=False)
    """What the try used, where that was measured."""
    undeclared: Undeclared | None = None
    """What the try opened beside what the stage declares, if somebody looked."""


class Run(Protocol):
    """One try that was launched."""

    @property
    def pid(self) -> int:
        """The process of this host that lives as long as the try."""
        ...

    def wait(self, listener: "Listener") -> Ended:
        """Bring the try to its end, and tell its lines."""
        ...

    def stop(self, number: int) -> None:
        """Send the signal to all that runs; from any thread, and returns at once."""
        ...

    def close(self) -> None:
        """End what still runs."""
        ...


class Executor(Protocol):
    """Runs the commands of stages, somewhere."""

    travels: bool
    """Whether stages run in another workspace, to which they travel as parcels."""
    ahead: int
    """How many stages may be prepared while they wait for slots: what they read is looked at again if they wait."""

    def accepts(self, stage: Stage) -> bool:
        """Whether this executor runs the stage."""
        ...

    def check(self, stages: Sequence[Stage]) -> None:
        """Look for what would keep these stages from running, before anything runs.

        Raises:
            UserError: the user must change something first.
        """
        ...

    def tries(self, stage: Stage) -> int:
        """How often the stage may be launched."""
        ...

    def reserve(self, stage: Stage) -> Lease | None:
        """What the stage needs, or None if there is not enough now; never blocks."""
        ...

    def holders(self, stage: Stage) -> str:
        """What the stage lacks now and who has it, as a phrase: `a GPU that stage 'train' of /repo (pid 12) holds`.

        Nothing if it lacks nothing, or only what anybody would expect: CPUs that other stages of this run keep busy.
        """
        ...

    def launch(self, task: Task, lease: Lease) -> Run:
        """Start a try; nothing of it runs before `Run.wait`."""
        ...

    def close(self) -> None:
        """Nothing more is to come."""
        ...


class Listener(Protocol):
    """Hears what a run tells as it goes."""

    def hear(self, event: Event) -> None:
        """Take the event; what this raises never reaches a stage."""
        ...
