"""`gliaflow repro`, `gliaflow status` and `gliaflow check`."""

import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Many, Switch, answer
from gliaflow.core.options import OnError, Options
from gliaflow.core.report import Outcome, Report, Undeclared, some
from gliaflow.errors import NotDeclared, UserError

if TYPE_CHECKING:
    from gliaflow.core.explain import Forecast

POOLS, SLURM = "pools", "slurm"  # the executors that flags name
DECLARED = "Stages declare all that their Python programs import."


@dataclass(frozen=True)
class Planned:
    """The flags of `dvc repro` that tell which stages would run, by its names."""

    force: Annotated[Switch, Parameter(alias="-f")] = False
    """Run stages even if nothing changed."""
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
    allow_missing: Switch = False
    """Skip stages whose data is missing if nothing else changed."""
    glob: Switch = False
    """Targets may hold wildcards."""
    no_run_cache: Switch = False
    """Run stages even if their result is in the run-cache."""

    def options(self) -> Options:
        """As the keywords of `dvc.repo.Repo.reproduce`."""
        given = asdict(self)
        keep_going, ignore = given.pop("keep_going", False), given.pop("ignore_errors", False)
        run_cache = not given.pop("no_run_cache")
        on_error: OnError = "ignore" if ignore else "keep-going" if keep_going else "fail"
        return Options(**given, run_cache=run_cache, on_error=on_error)


@dataclass(frozen=True)
class Flags(Planned):
    """The flags of `dvc repro`, by its names."""

    pull: Switch = False
    """Fetch from the remote what is missing."""
    dry: Switch = False
    """Only tell what would run, and why."""
    interactive: Annotated[Switch, Parameter(alias="-i")] = False
    """Ask before each stage; one at a time."""
    keep_going: Annotated[Switch, Parameter(alias="-k")] = False
    """After a failure, run all that does not depend on it."""
    ignore_errors: Switch = False
    """After a failure, run even what depends on it."""
    no_commit: Switch = False
    """Do not put outputs into the cache."""


def repro(
    *targets: str,
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    pools: Switch = False,
    slurm: Annotated[bool | None, Parameter(negative="--no-slurm", show_default=False)] = None,
    executor: Many = (),
    prefect: Annotated[bool, Parameter(negative="--no-prefect", show_default=False)] = True,
    live: Switch = False,
    audit: Switch = False,
    fallback: Switch = False,
    quiet: Annotated[Switch, Parameter(alias="-q")] = False,
    verbose: Annotated[Switch, Parameter(alias="-v")] = False,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Do what `dvc repro` does, with independent stages side by side.

    Example: gliaflow repro -j 4 train evaluate

    Args:
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        jobs: How many CPUs stages may reserve at once; all by default.
        pools: Send stages whose `meta` names a pool to the hosts of that work pool; as --executor pools.
        slurm: Run stages as jobs of a Slurm cluster; as --executor slurm, or slurm:NAME by a profile of that name.
        executor: Run stages on what a package brings under this name, if it accepts them; may be repeated.
        prefect: Tell the configured Prefect server of the run, which is the default; `gliaflow ui` shows it anyway.
        live: Start the Prefect server of this machine first, and show the run there from its beginning.
        audit: Name the files of the repository that a stage opens and does not declare; see `gliaflow check`.
        fallback: Run every stage through `dvc repro -s`, for a DVC whose internals moved: slower.
        quiet: Print errors alone.
        verbose: Name unchanged stages too, and print every line of stages on a terminal.
        flags: Those of `dvc repro`.
    """
    if quiet and verbose:
        raise UserError("--quiet and --verbose contradict each other; leave one of them out")
    options = flags.options()
    named = any(one.startswith(f"{SLURM}:") for one in executor)
    if slurm is None and not named:
        from gliaflow.api import default_executors

        executor = (*executor, *default_executors(repo))
    chosen = [*([POOLS] if pools else []), *([SLURM] if slurm and not named else []), *executor]
    chosen = list(dict.fromkeys(chosen))
    if options.dry and not fallback:
        _foresee(repo, targets, options, as_json, quiet, chosen)
        return
    with answer(as_json) as tell:
        from gliaflow import api
        from gliaflow.cli.screen import Screen

        if not fallback:
            api.workspace_class()
        gc.freeze()  # what is loaded by now stays: nothing for the collector to look through, a tenth of the time
        with Screen(quiet=quiet, verbose=verbose) as screen:
            report = api.reproduce(
                repo,
                targets,
                options=options,
                jobs=jobs,
                executors=chosen,
                listener=screen,
                fallback=fallback,
                prefect=prefect,
                live=live,
                audit=audit,
            )
        tell(_report(report), [])
    report.raise_if_failed()


def status(
    *targets: str,
    last: Switch = False,
    flags: Annotated[Planned, Parameter(name="*")] = Planned(),
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Tell what `gliaflow repro` would run, and why; nothing changes.

    Example: gliaflow status evaluate

    Args:
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        last: Tell what the stages of the last run used instead, next to what they asked for.
        flags: Those of `dvc repro`.
    """
    if last:
        from gliaflow.cli.runs import used

        used(repo, targets, as_json)
        return
    _foresee(repo, targets, flags.options(), as_json)


def check(*targets: str, fix: Switch = False, repo: Folder = Path(), as_json: Json = False) -> None:
    """Tell which files the Python programs of stages import and do not declare; nothing runs.

    Exit code 1 if there are any, and --fix did not add them.

    Example: gliaflow check --fix

    Args:
        targets: Stages, or paths of dvc.yaml files; all stages of the repository by default.
        fix: Add the files to the `deps:` of the stages; all else in each dvc.yaml stays as it is.
    """
    from gliaflow import api

    with answer(as_json) as tell:
        found = api.check(repo, targets, fix=fix, say=print)
        lines = [f"{address} now has {', '.join(paths)} among its deps" for address, paths in found.items()]
        if not fix:
            lines = [
                f"{address} imports {some(paths)}, which {'are' if paths[1:] else 'is'} none of its deps"
                for address, paths in found.items()
            ]
        stages = [{"stage": address, "imports": list(paths)} for address, paths in found.items()]
        tell({"undeclared": stages, "fixed": fix and bool(stages)}, lines or [DECLARED])
    if found and not fix:
        raise NotDeclared(found)


def _foresee(
    root: Path,
    targets: Iterable[str],
    options: Options,
    as_json: bool,
    quiet: bool = False,
    executors: Sequence[str] = (),
) -> None:
    """Tell what each stage would come to; `quiet` only looks for what is wrong."""
    from gliaflow import api

    with answer(as_json) as tell:
        found = api.status(root, targets, options=options, executors=executors)
        tell([_forecast(one) for one in found], [] if quiet else _told(found))
        if quiet:
            return
        if options.pull and any(one.outcome is Outcome.RUN for one in found):
            print("--dry did not look at the remote: --pull may fetch what is said here to run")
        if options.on_error == "fail" and any(one.outcome is Outcome.FAILED for one in found):
            print("after a failure nothing new starts; --keep-going runs all that does not depend on what failed")


def _told(found: "list[Forecast]") -> Iterator[str]:
    """For a person: a line for each stage, and below it what would be submitted."""
    for one in found:
        yield str(one)
        if one.script:
            yield one.script


def _forecast(one: "Forecast") -> dict[str, object]:
    """For a program."""
    doubt: dict[str, object] = {} if one.certain else {"certain": False}
    script = {"script": one.script} if one.script else {}
    return {"stage": one.address, "outcome": one.outcome.name.lower(), **doubt, "why": one.why, **script}


def _report(report: Report) -> dict[str, object]:
    """For a program: every stage that ended, in DVC's order."""
    stages = [
        {
            "stage": result.address,
            "outcome": result.outcome.name.lower(),
            "why": result.why,
            "seconds": round(result.seconds, 3),
            "outputs": dict(result.outputs),
            **({"used": asdict(result.used)} if result.used else {}),
            **({"asked": asdict(result.asked)} if result.asked else {}),
            "tail": list(result.tail),
            **_opened(result.undeclared),
        }
        for result in report.results
    ]
    failed = [result.address for result in report.failed]
    return {"stages": stages, "reproduced": report.reproduced, "failed": failed}


def _opened(found: Undeclared | None) -> dict[str, object]:
    """For a program: what a stage opened and does not declare, if somebody looked."""
    return {"undeclared": {"read": list(found.read), "wrote": list(found.wrote)}} if found else {}
