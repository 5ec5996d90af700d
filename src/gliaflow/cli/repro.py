"""`gliaflow repro` and `gliaflow status`."""

import gc
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gliaflow.core.options import Options

Switch = Annotated[bool, Parameter(negative="")]


@dataclass(frozen=True)
class Flags:
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
    """Only tell what would run, and why."""
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

    def options(self) -> Options:
        """As the keywords of `dvc.repo.Repo.reproduce`."""
        given = asdict(self)
        keep_going, ignore = given.pop("keep_going"), given.pop("ignore_errors")
        run_cache = not given.pop("no_run_cache")
        return Options(
            **given, run_cache=run_cache, on_error="ignore" if ignore else "keep-going" if keep_going else "fail"
        )


def repro(
    *targets: str,
    repo: Path = Path(),
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    fallback: Switch = False,
    pools: Switch = False,
    prefect: Annotated[bool, Parameter(negative="--no-prefect")] = True,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
) -> None:
    """Do what `dvc repro` does, with independent stages side by side. See `--dry` for what would run, and why.

    Parameters
    ----------
    targets
        Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
    repo
        The folder to run in, as `dvc --cd`.
    jobs
        How many CPUs stages may reserve at once; all by default.
    fallback
        Run every stage through `dvc repro -s`, for a DVC whose internals moved: slower.
    pools
        Send stages whose `meta` names a pool to the hosts of that work pool.
    prefect
        Have Prefect keep the run; without, nothing of it is kept but what DVC keeps.
    """
    from gliaflow import api
    from gliaflow.cli.screen import Screen

    options = flags.options()
    if options.dry and not fallback:
        status(*targets, repo=repo, flags=flags)
        return
    if not fallback:
        api.workspace_class()
    gc.freeze()  # what is loaded by now stays: nothing for the collector to look through, a tenth of the time
    with Screen() as screen:
        report = api.reproduce(
            repo,
            targets,
            options=options,
            jobs=jobs,
            executors=("pools",) if pools else (),
            listener=screen,
            fallback=fallback,
            prefect=prefect,
        )
    report.raise_if_failed()


def status(
    *targets: str,
    repo: Path = Path(),
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
) -> None:
    """Tell what `gliaflow repro` would run, and why; nothing changes."""
    from gliaflow import api
    from gliaflow.core.report import Outcome

    options = flags.options()
    found = api.status(repo, targets, options=options)
    for one in found:
        print(one)
    if options.pull and any(one.outcome is Outcome.RUN for one in found):
        print("--dry did not look at the remote: --pull may fetch what is said here to run")
