"""What a caller may ask of a run: the keywords of `dvc.repo.Repo.reproduce`, with its meanings and defaults."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

OnError = Literal["fail", "keep-going", "ignore"]


@dataclass(frozen=True)
class Options:
    """The keywords of `dvc.repo.Repo.reproduce`; every attribute is the flag of `dvc repro` of that name."""

    recursive: bool = False
    """Take all stages below the folders that the targets name."""
    pipeline: bool = False
    """Take the whole pipelines of the targets."""
    all_pipelines: bool = False
    """Take all pipelines of the repository."""
    downstream: bool = False
    """Begin at the targets and take what depends on them."""
    single_item: bool = False
    """Take the targets alone, one at a time, without what they depend on."""
    glob: bool = False
    """Targets may hold wildcards."""
    on_error: OnError = "fail"
    """After a failure start nothing new, run all that does not depend on it, or run even what does."""
    force: bool = False
    """Run stages even if nothing changed."""
    force_downstream: bool = False
    """Run all that depends on a stage that ran, changed or not."""
    dry: bool = False
    """Change nothing; tell what would run, and why."""
    interactive: bool = False
    """Ask before each stage, one at a time."""
    pull: bool = False
    """Fetch from the remote what is missing."""
    allow_missing: bool = False
    """Skip stages whose data is missing if nothing else changed."""
    run_cache: bool = True
    """Restore a stage whose result the run-cache holds."""
    no_commit: bool = False
    """Put no outputs into the cache."""

    def __post_init__(self) -> None:
        assert self.on_error in ("fail", "keep-going", "ignore"), f"on_error is {self.on_error!r}"  # as in DVC

    @property
    def alone(self) -> bool:
        """Whether each target runs without the rest of its graph."""
        return self.single_item and not (self.pipeline or self.all_pipelines)

    @property
    def serial(self) -> bool:
        """Whether stages run one by one: no graph tells what may run side by side, or a person is asked."""
        return self.interactive or self.alone


@dataclass(frozen=True)
class Part:
    """Where a run belongs that is a part of something larger, and works in a workspace of its own."""

    journals: Path
    """The folder in which its journal is kept."""
    twins: Path
    """The folder by which the parts know of each other: what two of them would run, one runs."""
    name: str
    """What the others call it."""
    tags: tuple[str, ...] = ()
    """What the run is marked with besides."""
