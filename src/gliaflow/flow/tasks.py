"""The stages of a run as tasks of a Prefect flow."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import State, TaskRunResult
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from gliaflow.core.graph import Stage
from gliaflow.core.job import Work
from gliaflow.core.ports import Listener
from gliaflow.core.report import Message, Outcome, Report, StageResult
from gliaflow.core.scheduler import Scheduler
from gliaflow.errors import CommandFailed, UserError, one_line
from gliaflow.export.artifacts import artifacts

LINES = "lines"  # the logger of what stages print themselves, below Prefect's own


@task(cache_policy=NO_CACHE, persist_result=False)
def stage_task(work: Work) -> "State[Any]":
    """One stage, under its DVC name. DVC is the only cache; what it saved shows as the state Cached."""
    logger: Any = get_run_logger()
    result = work(logger.getChild(LINES).info)
    if result.why and result.outcome not in (Outcome.RUN, Outcome.FAILED, Outcome.SKIPPED):  # whose states tell why
        logger.info(result.why)
    return state_of(result)


def state_of(result: StageResult) -> "State[Any]":
    """What Prefect calls the end of a stage."""
    if result.outcome is Outcome.FAILED:
        error, tail = result.error, result.tail
        why = error.ending if tail and type(error) is CommandFailed else result.why  # its cause is one of the lines
        return Failed(message="\n".join([why, *tail]))
    if result.outcome is Outcome.SKIPPED:
        return Cancelled(name="Skipped", message=result.why)
    if result.outcome is Outcome.RUN:
        return Completed(message=result.why)
    return Completed(name="Cached", message=result.outcome.value)


def run_as_tasks(
    scheduler: Scheduler, listener: Listener, metrics: Callable[[Report], list[dict[str, Any]]]
) -> "State[Any]":
    """The body of a flow: every stage a task, then what came of them as artifacts; `metrics` reads those of the end.

    Raises:
        UserError: the flow's task runner is none of threads.
    """
    context: Any = FlowRunContext.get()
    if not isinstance(context.task_runner, ThreadPoolTaskRunner):
        raise UserError(f"stages run in threads of the flow: use ThreadPoolTaskRunner, not {context.task_runner.name}")
    scheduler.most = context.task_runner._max_workers
    runs: dict[str, TaskRunResult] = {}

    def dispatch(stage: Stage, work: Work) -> None:
        one = stage_task.with_options(
            name=stage.address,
            task_run_name=stage.address.replace("{", "{{").replace("}", "}}"),  # Prefect formats it
            retries=work.retries,
            retry_condition_fn=lambda *_: work.again,
        )
        # Edges to show. A skipped stage may come before an upstream that was not dispatched.
        upstreams = {runs[upstream] for upstream in stage.upstreams if upstream in runs}
        future = context.task_runner.submit(one, {"work": quote(work)}, dependencies={"work": upstreams})
        future.wrapped_future.add_done_callback(lambda _: scheduler.lost(stage.address))
        runs[stage.address] = TaskRunResult(id=future.task_run_id)

    report = scheduler.run(dispatch)
    try:
        with get_client(httpx_settings={}, sync_client=True) as client:  # of its own, in an async flow as well
            for one in artifacts(report.results, metrics(report), Path(), None):
                client.create_artifact(ArtifactCreate(**asdict(one), flow_run_id=context.flow_run.id))
    except Exception as error:  # the stages are done and recorded, whatever becomes of the tables
        listener.hear(Message(f"no artifacts in Prefect: {one_line(error)}"))
    if report.failed:
        return Failed(message=f"failed: {', '.join(result.address for result in report.failed)}")
    return Completed(message=f"{len(report.reproduced)} of {len(report.results)} stages reproduced")
