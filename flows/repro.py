"""The stages of a `dvc.yaml`, side by side, each a Prefect task: what `dvc repro` does, leaving what it would leave."""

import gc
import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from dvc.exceptions import DvcException, ReproductionError
from httpx import TransportError
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRunResult
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_RUNNER_HEARTBEAT_FREQUENCY, temporary_settings
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows import explain, report
from flows.devices import Slots
from flows.fallback import Fallback
from flows.graph import Stage
from flows.options import CommandLine, Flags, Outcome, Row, StageFailed, not_reproduced
from flows.screen import Screen
from flows.server import shared
from flows.walk import Walk, Work
from stages.command import run
from stages.errors import UserError

if TYPE_CHECKING:
    from flows.workspace import Workspace

DRAIN_SECONDS = 30.0  # for what Prefect has not yet been told at the end
UP_TO_DATE = "Data and pipelines are up to date."


@task(cache_policy=NO_CACHE, persist_result=False)
def stage_task(work: Work) -> "State[Any]":
    """One stage, under its DVC name. DVC is the only cache; what it saved shows as the state Cached."""
    return state_of(work(get_run_logger().info))


def state_of(row: Row) -> "State[Any]":
    """What Prefect calls the end of a stage."""
    if row.outcome is Outcome.FAILED:
        return Failed(message="\n".join([row.why, *row.tail]))
    if row.outcome is Outcome.SKIPPED:
        return Cancelled(name="Skipped", message=row.why)
    if row.outcome is Outcome.RUN:
        return Completed(message=row.why)
    return Completed(name="Cached", message=row.outcome.value)


def reproduce(
    root: Path | str = ".",
    targets: Iterable[str] | str | None = None,
    *,
    jobs: int | None = None,
    fallback: bool = False,
    screen: Screen | None = None,
    **flags: Any,
) -> list[str]:
    """Do what `dvc.repo.Repo.reproduce` does, with independent stages side by side; `flags` are its keywords.

    `jobs` is the number of CPU slots, by default that of this process's CPUs; `fallback` runs every stage through
    `dvc repro -s`. The working directory is `root` until the end. Inside of a Prefect flow the stages become tasks of
    it, else of a flow of their own, for which a server is started if none is configured; when no stage changed there
    is no flow.

    Returns:
        The addresses of the stages that ran or were restored, in the order in which DVC returns them.

    Raises:
        dvc.exceptions.DvcException: as DVC does; ReproductionError when stages failed.
        UserError: what the user must mend.
    """
    if jobs is not None and jobs < 1:
        raise UserError(f"jobs is {jobs}; at least one stage must be able to run")
    screen = screen or Screen(quiet=True)
    kind = Fallback if fallback else _workspace()
    with kind(root, Flags(**flags), screen.say) as workspace:
        graph = workspace.plan(targets)
        if not isinstance(workspace, Fallback) and workspace.flags.dry:
            return explain.dry(workspace, graph, screen)
        walk = Walk(workspace, graph, Slots(jobs or len(os.sched_getaffinity(0))), screen)
        if FlowRunContext.get():
            body(walk)
        elif walk.nothing_to_do():
            screen.say(UP_TO_DATE)
        else:
            with prefect(), screen:
                flow_of_its_own(walk)
        screen.summary(list(walk.rows.values()))
        if walk.failures and workspace.flags.on_error != "ignore":
            several = workspace.flags.on_error == "keep-going"
            failed = walk.failures if several else walk.failures[:1]
            raised = not_reproduced(failed, walk.rows[failed[0]].error)
            if several:
                raised.__cause__ = None  # as DVC does; it stays the context
            raise raised
        return walk.reproduced


def _workspace() -> "type[Workspace]":
    try:
        from flows.workspace import Workspace
    except ImportError as error:
        raise UserError(
            f"the internals of this DVC moved ({error}); run with --fallback, or install dvc 3.67"
        ) from None
    return Workspace


def flow_of_its_own(walk: Walk) -> None:
    """Run the body as a flow. The server may go away in the middle: the stages run on, and are recorded."""
    runner: Any = ThreadPoolTaskRunner()
    crashes: list[Exception] = []

    def stages() -> "State[Any]":
        try:
            return body(walk)
        except Exception as error:
            crashes.append(error)  # Prefect would keep it to itself, and a failed stage would hide it
            raise

    try:
        flow(name="repro", task_runner=runner)(stages)(return_state=True)
    except (TransportError, RuntimeError) as error:
        if not walk.rows:
            raise UserError(f"{error}; start that server, or unset PREFECT_API_URL to have one for this run") from error
        if len(walk.rows) < len(walk.graph.stages):
            raise
        walk.screen.say(f"Prefect's server is gone, which the stages did not need: {one_line(str(error))}")
    if crashes:
        raise crashes[0]


def body(walk: Walk) -> "State[Any]":
    """A flow's: every stage a task, then what came of them as artifacts."""
    context: Any = FlowRunContext.get()
    runs: dict[str, TaskRunResult] = {}

    def submit(stage: Stage, work: Work) -> None:
        one = stage_task.with_options(
            name=stage.address,
            task_run_name=stage.address.replace("{", "{{").replace("}", "}}"),  # Prefect formats it
            retries=stage.settings.retries,
            retry_condition_fn=lambda *_: work.again,
        )
        # Edges to show. A skipped stage may come before an upstream that has not begun.
        upstreams = {runs[upstream] for upstream in stage.upstreams if upstream in runs}
        future = context.task_runner.submit(one, {"work": quote(work)}, dependencies={"work": upstreams})
        future.wrapped_future.add_done_callback(lambda _: walk.lost(stage.address))
        runs[stage.address] = TaskRunResult(id=future.task_run_id)

    walk.go(submit)
    rows = [walk.rows[stage.address] for stage in walk.graph.stages]
    try:
        report.publish(rows, Path(), walk.workspace.has_metrics)
    except Exception as error:  # the stages are done and recorded, whatever becomes of the tables
        walk.screen.say(f"no artifacts in Prefect: {one_line(str(error))}")
    if walk.failures:
        return Failed(message=f"failed: {', '.join(walk.failures)}")
    return Completed(message=f"{len(walk.reproduced)} of {len(walk.rows)} stages reproduced")


@contextmanager
def prefect() -> Iterator[None]:
    """Prefect's API, and its run logs there alone: the screen shows the same lines."""
    runs = [logging.getLogger(f"prefect.{name}_runs") for name in ("flow", "task")]
    others = [logging.getLogger(name) for name in ("prefect", "EventsWorker", "APILogWorker")]
    before = [logger.level for logger in others]
    try:
        with ExitStack() as stack:
            url = PREFECT_API_URL.value() or stack.enter_context(shared(PREFECT_HOME.value()))
            # A person watches: no heart has to beat, and none is waited for at the end.
            stack.enter_context(temporary_settings({PREFECT_API_URL: url, PREFECT_RUNNER_HEARTBEAT_FREQUENCY: None}))
            for logger in others:
                logger.setLevel(logging.ERROR)
            for logger in runs:
                logger.setLevel(logging.INFO)
                logger.propagate = False
            yield
            EventsWorker.drain_all(timeout=DRAIN_SECONDS)
            APILogWorker.drain_all(timeout=DRAIN_SECONDS)
    finally:
        for logger, level in zip(others, before, strict=True):
            logger.setLevel(level)
        for logger in runs:
            logger.setLevel(logging.NOTSET)
            logger.propagate = True


@flow(validate_parameters=False)
def repro(
    root: str = ".", targets: list[str] | None = None, jobs: int | None = None, flags: dict[str, Any] | None = None
) -> Any:
    """The flow to deploy: `flags` are keywords of `reproduce`."""
    try:
        return reproduce(root, targets, jobs=jobs, **(flags or {}))
    except (DvcException, UserError) as error:
        return Failed(message=one_line(str(error)))


def one_line(text: str) -> str:
    """Without breaks: an error is one line."""
    return " ".join(text.split())


def main(
    *targets: str,
    repo: Path = Path(),
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    fallback: Annotated[bool, Parameter(negative="")] = False,
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
    """
    gc.freeze()  # what is loaded by now stays: nothing for the collector to look through, a tenth of the time
    try:
        reproduce(repo, targets, jobs=jobs, fallback=fallback, screen=Screen(), **options.flags())
    except ReproductionError as error:
        cause = error.__cause__ or error.__context__
        theirs = isinstance(cause, UserError | OSError)
        reason = f": {cause}" if cause else ""
        raise (UserError if theirs else StageFailed)(one_line(f"{error}{reason}")) from error
    except DvcException as error:
        raise UserError(one_line("; ".join([str(error), *getattr(error, "__notes__", [])]))) from error


if __name__ == "__main__":
    run(main)
