"""What a caller may ask of a run, and the words for what became of a stage."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Annotated, Any, NamedTuple

from cyclopts import Parameter
from dvc.exceptions import ReproductionError
from dvc.stage.exceptions import StageCmdFailedError

from stages.errors import GliaflowError


@dataclass(frozen=True)
class Flags:
    """The keywords of `dvc.repo.Repo.reproduce`, with its meanings and defaults."""

    recursive: bool = False
    pipeline: bool = False
    all_pipelines: bool = False
    downstream: bool = False
    single_item: bool = False
    glob: bool = False
    on_error: str | None = "fail"  # or "keep-going", or "ignore"
    force: bool = False
    force_downstream: bool = False
    dry: bool = False
    interactive: bool = False
    pull: bool = False
    allow_missing: bool = False
    run_cache: bool = True
    no_commit: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "on_error", self.on_error or "fail")
        assert self.on_error in ("fail", "keep-going", "ignore")

    @property
    def alone(self) -> bool:
        """Whether each target runs without the rest of its graph."""
        return self.single_item and not (self.pipeline or self.all_pipelines)

    @property
    def serial(self) -> bool:
        """Whether stages run one by one: with no graph to tell what may run beside what, or a person to ask."""
        return self.interactive or self.alone


class Outcome(Enum):
    """What became of a stage."""

    UNCHANGED = "unchanged"
    PULLED = "pulled"
    RESTORED = "restored from run-cache"
    SAVED = "verified"  # no command ran: data, an import, a frozen stage
    RUN = "ran"
    FAILED = "failed"
    SKIPPED = "skipped"

    @property
    def reproduced(self) -> bool:
        """Whether DVC counts the stage among the reproduced."""
        return self in (Outcome.RESTORED, Outcome.SAVED, Outcome.RUN)


@dataclass
class Row:
    """One stage's line in the summary."""

    address: str
    outcome: Outcome
    why: str = ""
    seconds: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)  # path → hash
    error: Exception | None = None
    tail: list[str] = field(default_factory=list)  # last lines of a failed stage

    def __post_init__(self) -> None:
        if self.error and not self.why:
            self.why = " ".join(str(self.error).split())


class Change(NamedTuple):
    """Something that makes a stage run."""

    what: str  # "parameter", "dependency", "output", or what the name says by itself
    name: str
    old: Any = None
    new: Any = None


@dataclass(frozen=True)
class Commands:
    """What a stage executes: its lines, and each as the arguments of a process."""

    lines: Sequence[str]
    arguments: Sequence[Sequence[str]]
    cwd: str
    env: dict[str, str]


def not_reproduced(failed: Sequence[str], cause: Exception | None) -> Exception:
    """What DVC raises for these stages; with the first one's error as the cause."""
    names = " and ".join(filter(None, [", ".join(map(repr, failed[:-1])), repr(failed[-1])]))
    raised: Exception = ReproductionError(f"failed to reproduce{' stages:' if failed[1:] else ''} {names}")
    raised.__cause__ = raised.__context__ = cause
    return raised


def command_failed(command: str, code: int) -> Exception:
    """What DVC raises for a command that ends with this code."""
    raised: Exception = StageCmdFailedError(command, code)
    return raised


class NotYet(Exception):
    """A stage cannot begin now; try again later."""


class StageFailed(GliaflowError):
    """A stage's command failed; the user has seen why."""

    exit_code = 1


Switch = Annotated[bool, Parameter(negative="")]


@dataclass(frozen=True)
class CommandLine:
    """The flags of `dvc repro`, by its names."""

    force: Annotated[Switch, Parameter(alias="-f")] = False
    """Run stages even if nothing changed."""
    interactive: Annotated[Switch, Parameter(alias="-i")] = False
    """Ask before each stage; one at a time."""
    single_item: Annotated[Switch, Parameter(alias="-s")] = False
    """Only the targets, without what they depend on; one at a time."""
    pipeline: Annotated[Switch, Parameter(alias="-p")] = False
    """The whole pipelines of the targets."""
    all_pipelines: Annotated[Switch, Parameter(alias="-P")] = False
    """All pipelines of the repository."""
    recursive: Annotated[Switch, Parameter(alias="-R")] = False
    """All stages below the folders that the targets name."""
    downstream: Switch = False
    """Begin at the targets and run what depends on them."""
    force_downstream: Switch = False
    """Run all that depends on a stage that ran, changed or not."""
    pull: Switch = False
    """Fetch from the remote what is missing."""
    allow_missing: Switch = False
    """Skip stages whose data is missing if nothing else changed."""
    dry: Switch = False
    """Only say what would run, and why."""
    keep_going: Annotated[Switch, Parameter(alias="-k")] = False
    """After a failure, run all that does not depend on it."""
    ignore_errors: Switch = False
    """After a failure, run even what depends on it."""
    glob: Switch = False
    """Targets may hold wildcards."""
    no_commit: Switch = False
    """Do not put outputs into the cache."""
    no_run_cache: Switch = False
    """Run stages even if their result is in the run-cache."""

    def flags(self) -> dict[str, Any]:
        """The keywords of `dvc.repo.Repo.reproduce`."""
        given = asdict(self)
        keep_going, ignore = given.pop("keep_going"), given.pop("ignore_errors")
        given["on_error"] = "ignore" if ignore else "keep-going" if keep_going else "fail"
        given["run_cache"] = not given.pop("no_run_cache")
        return given
