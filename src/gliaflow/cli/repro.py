"""The stages of a `dvc.yaml`, side by side, each a Prefect task: what `dvc repro` does, leaving what it would leave."""

import gc
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from dvc.exceptions import DvcException, ReproductionError

from gliaflow.core import explain
from gliaflow.machine.slots import Slots
from gliaflow.workspace.fallback import Fallback
from gliaflow.core.options import CommandLine, Flags, StageFailed, not_reproduced
from gliaflow.cli.screen import Screen
from gliaflow.core.scheduler import Walk
from stages.command import run
from gliaflow.errors import UserError, one_line

if TYPE_CHECKING:
    from gliaflow.hosts.pools import Pools
    from gliaflow.workspace.workspace import Workspace

UP_TO_DATE = "Data and pipelines are up to date."


def reproduce(
    root: Path | str = ".",
    targets: Iterable[str] | str | None = None,
    *,
    jobs: int | None = None,
    fallback: bool = False,
    pools: bool = False,
    screen: Screen | None = None,
    **flags: Any,
) -> list[str]:
    """Do what `dvc.repo.Repo.reproduce` does, with independent stages side by side; `flags` are its keywords.

    `jobs` is the number of CPU slots, by default that of this process's CPUs; `fallback` runs every stage through
    `dvc repro -s`; with `pools` stages that ask for a work pool run on its hosts. The working directory is `root` until
    the end. Inside of a Prefect flow the stages become tasks of it, else of a flow of their own, for which a server is
    started if none is configured; when no stage changed there is no flow.

    Returns:
        The addresses of the stages that ran or were restored, in the order in which DVC returns them.

    Raises:
        dvc.exceptions.DvcException: as DVC does; ReproductionError when stages failed.
        UserError: what the user must mend.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; at least one stage must be able to run")
    if pools and (fallback or flags.get("no_commit") or flags.get("interactive")):
        raise UserError("--pools does not go with --fallback, --no-commit or --interactive; leave one of them out")
    screen = screen or Screen(quiet=True)
    kind = Fallback if fallback else _workspace()
    with kind(root, Flags(**flags), screen.say) as workspace:
        graph = workspace.plan(targets)
        if not isinstance(workspace, Fallback) and workspace.flags.dry:
            return explain.dry(workspace, graph, screen)
        elsewhere = _pools(workspace) if pools else None
        walk = Walk(workspace, graph, Slots(jobs or len(os.sched_getaffinity(0))), screen, elsewhere)
        if not _in_a_flow() and walk.nothing_to_do():
            screen.say(UP_TO_DATE)
        else:
            _run(walk, screen)
        screen.summary(list(walk.rows.values()))
        if walk.failures and workspace.flags.on_error != "ignore":
            several = workspace.flags.on_error == "keep-going"
            failed = walk.failures if several else walk.failures[:1]
            raised = not_reproduced(failed, walk.rows[failed[0]].error)
            if several:
                raised.__cause__ = None  # as DVC does; it stays the context
            raise raised
        return walk.reproduced


def _in_a_flow() -> bool:
    context = sys.modules.get("prefect.context")  # what nobody has imported has no flow
    return bool(context and context.FlowRunContext.get())


def _run(walk: Walk, screen: Screen) -> None:
    from gliaflow.flow.session import prefect  # a second of imports, for those who have something to do
    from gliaflow.flow.tasks import body, flow_of_its_own

    if gc.get_freeze_count():
        gc.freeze()  # these too
    if _in_a_flow():
        body(walk)
    else:
        with prefect(), screen:
            flow_of_its_own(walk)


def _workspace() -> "type[Workspace]":
    try:
        from gliaflow.workspace.workspace import Workspace
    except ImportError as error:
        raise UserError(f"the internals of this DVC moved ({error}); run with --fallback, or take 3.67") from None
    return Workspace


def _pools(workspace: "Workspace | Fallback") -> "Pools":
    from gliaflow.hosts.pools import Pools  # a second of imports, for those who ask for it

    assert not isinstance(workspace, Fallback)
    if workspace.flags.interactive:
        raise UserError("--pools asks nobody: unset core.interactive in DVC's config")
    return Pools(workspace)


def main(
    *targets: str,
    repo: Path = Path(),
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    fallback: Annotated[bool, Parameter(negative="")] = False,
    pools: Annotated[bool, Parameter(negative="")] = False,
    options: Annotated[CommandLine, Parameter(name="*")] = CommandLine(),  # noqa: B008
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
    """
    if not fallback:
        _workspace()
    gc.freeze()  # what is loaded by now stays: nothing for the collector to look through, a tenth of the time
    try:
        reproduce(repo, targets, jobs=jobs, fallback=fallback, pools=pools, screen=Screen(), **options.flags())
    except ReproductionError as error:
        cause = error.__cause__ or error.__context__
        passing = isinstance(cause, TimeoutError | ConnectionError | InterruptedError)
        theirs = isinstance(cause, UserError | OSError) and not passing
        reason = f": {cause}" if cause else ""
        raise (UserError if theirs else StageFailed)(one_line(f"{error}{reason}")) from error
    except DvcException as error:
        raise UserError(one_line("; ".join([str(error), *getattr(error, "__notes__", [])]))) from error


if __name__ == "__main__":
    run(main)
