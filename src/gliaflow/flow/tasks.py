"""The stages of a walk as tasks of a Prefect flow."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

from httpx import HTTPStatusError, TransportError
from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State, TaskRunResult
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Completed, Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from gliaflow.flow import artifacts as report
from gliaflow.flow.session import refusal
from gliaflow.core.graph import Stage
from gliaflow.core.options import Outcome, Row
from gliaflow.core.scheduler import Walk, Work
from gliaflow.errors import TransientError, UserError, one_line

WATCH_SECONDS = 2.0  # between two looks at whether the flow run is to be cancelled
WATCHER = "cancelled?"  # the thread that looks
LINES = "lines"  # the logger of what stages say themselves, below Prefect's own


@task(cache_policy=NO_CACHE, persist_result=False)
def stage_task(work: Work) -> "State[Any]":
    """One stage, under its DVC name. DVC is the only cache; what it saved shows as the state Cached."""
    logger: Any = get_run_logger()
    row = work(logger.getChild(LINES).info)
    if row.why and row.outcome not in (Outcome.RUN, Outcome.FAILED, Outcome.SKIPPED):  # whose states say why
        logger.info(row.why)
    return state_of(row)


def state_of(row: Row) -> "State[Any]":
    """What Prefect calls the end of a stage."""
    if row.outcome is Outcome.FAILED:
        return Failed(message="\n".join([row.why, *row.tail]))
    if row.outcome is Outcome.SKIPPED:
        return Cancelled(name="Skipped", message=row.why)
    if row.outcome is Outcome.RUN:
        return Completed(message=row.why)
    return Completed(name="Cached", message=row.outcome.value)


def flow_of_its_own(walk: Walk) -> None:
    """Run the body as a flow. The server may go away in the middle: the stages run on, and are recorded."""
    runner: Any = ThreadPoolTaskRunner(max_workers=sys.maxsize)  # the slots say how much runs at once
    crashes: list[BaseException] = []

    def stages() -> "State[Any]":
        try:
            with _watched(walk):
                return body(walk)
        except BaseException as error:
            hasty.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}))  # no minutes for who has left
            if walk.cancelled:
                return Cancelled(message="cancelled in Prefect")
            crashes.append(error)  # Prefect would keep it to itself, and a failed stage or a lost server would hide it
            raise

    try:
        with ExitStack() as hasty:
            flow(name="repro", task_runner=runner)(stages)(return_state=True)
    except (TransportError, RuntimeError, HTTPStatusError) as error:
        if crashes:
            raise crashes[0] from None
        if not walk.rows:
            raise UserError(_refused(error)) from error
        if len(walk.rows) < len(walk.graph.stages):
            raise
        walk.screen.say(f"Prefect's server is gone, which the stages did not need: {one_line(error)}")
    if walk.cancelled:
        raise TransientError("cancelled in Prefect; the next run carries on")
    if crashes:
        raise crashes[0]


@contextmanager
def _watched(walk: Walk) -> Iterator[None]:
    """Have the walk end when its flow run is cancelled: no worker is there to end this process."""
    context, over = FlowRunContext.get(), threading.Event()

    def watch() -> None:
        # With settings of its own, or it would be the flow's client, which is closed when that ends.
        own = get_client(httpx_settings={}, sync_client=True)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), own as client:
            while context and context.flow_run and not over.wait(WATCH_SECONDS):
                with suppress(Exception):  # the server may be away, and say anything
                    state = client.read_flow_run(context.flow_run.id).state
                    if state and (state.is_cancelling() or state.is_cancelled()) and not over.is_set():
                        walk.cancel()
                        return

    current = copy_context()
    threading.Thread(target=lambda: current.run(watch), name=WATCHER, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _refused(error: Exception) -> str:
    if isinstance(error, HTTPStatusError):
        return refusal(error)
    return f"{one_line(error)}; start that server, or unset PREFECT_API_URL to have one for this run"


def body(walk: Walk) -> "State[Any]":
    """A flow's: every stage a task, then what came of them as artifacts."""
    context: Any = FlowRunContext.get()
    if not isinstance(context.task_runner, ThreadPoolTaskRunner):
        raise UserError(f"stages run in threads of the flow: use ThreadPoolTaskRunner, not {context.task_runner.name}")
    walk.most = context.task_runner._max_workers
    runs: dict[str, TaskRunResult] = {}

    def submit(stage: Stage, work: Work) -> None:
        one = stage_task.with_options(
            name=stage.address,
            task_run_name=stage.address.replace("{", "{{").replace("}", "}}"),  # Prefect formats it
            retries=work.retries,
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
        walk.screen.say(f"no artifacts in Prefect: {one_line(error)}")
    if walk.failures:
        return Failed(message=f"failed: {', '.join(walk.failures)}")
    return Completed(message=f"{len(walk.reproduced)} of {len(walk.rows)} stages reproduced")
