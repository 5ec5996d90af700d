"""A flow of their own for runs that send stages to other hosts, which needs the server that the team shares."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from contextvars import copy_context
from pathlib import Path
from typing import Any

from httpx import HTTPStatusError, TransportError
from prefect import flow, tags
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_CLIENT_MAX_RETRIES,
    PREFECT_RUNNER_HEARTBEAT_FREQUENCY,
    temporary_settings,
)
from prefect.states import Cancelled
from prefect.task_runners import ThreadPoolTaskRunner

from gliaflow.core.ports import Listener
from gliaflow.core.report import Message, Report
from gliaflow.core.scheduler import Scheduler
from gliaflow.errors import TransientError, UserError, one_line
from gliaflow.flow.tasks import run_as_tasks
from gliaflow.journal.names import parameters, place

PASSWORDS = (401, 403)
DRAIN_SECONDS = 5.0  # for what Prefect has not yet been told at the end
WATCH_SECONDS = 2.0  # between two looks at whether the flow run is to be cancelled
WATCHER = "cancelled?"  # the thread that looks


def refusal(error: HTTPStatusError) -> str:
    """What the user should know of a server that answers so, on one line."""
    url, code = PREFECT_API_URL.value(), error.response.status_code
    if code in PASSWORDS:
        return f"{url}: the server wants a password: set PREFECT_API_AUTH_STRING"
    return f"{url}: the server answers {code}; is it Prefect's?"


@contextmanager
def api() -> Iterator[None]:
    """Have Prefect's run logs go to its server alone: the terminal shows the same lines."""
    runs = [logging.getLogger(f"prefect.{name}_runs") for name in ("flow", "task")]
    others = [logging.getLogger(name) for name in ("prefect", "EventsWorker", "APILogWorker")]
    before = [logger.level for logger in others]
    try:
        with ExitStack() as stack:
            # A person watches: no heart has to beat, and none is waited for at the end.
            stack.enter_context(temporary_settings({PREFECT_RUNNER_HEARTBEAT_FREQUENCY: None}))
            for logger in others:
                logger.setLevel(logging.ERROR)
            for logger in runs:
                logger.setLevel(logging.INFO)
                logger.propagate = False
            yield
            # In a thread of its own, where no event loop runs: else these return coroutines, and nothing is drained.
            drain = threading.Thread(target=_drain, daemon=True)
            drain.start()
            drain.join(DRAIN_SECONDS)
    finally:
        for logger, level in zip(others, before, strict=True):
            logger.setLevel(level)
        for logger in runs:
            logger.setLevel(logging.NOTSET)
            logger.propagate = True


def _drain() -> None:
    EventsWorker.drain_all(timeout=DRAIN_SECONDS)
    APILogWorker.drain_all(timeout=DRAIN_SECONDS)


def run_in_a_flow(
    scheduler: Scheduler,
    listener: Listener,
    asked: Sequence[str],
    metrics: Callable[[Report], list[dict[str, Any]]],
) -> None:
    """Run the stages as a flow, of the targets that were `asked` for; `metrics` reads those of the end.

    The server may go away in the middle: the stages run on, and are recorded.

    Raises:
        UserError: the server refuses.
        TransientError: the run was cancelled in Prefect.
    """
    runner: Any = ThreadPoolTaskRunner(max_workers=sys.maxsize)  # the slots tell how much runs at once
    crashes: list[BaseException] = []
    here = place(Path())

    def repro(targets: list[str], flags: dict[str, Any]) -> "State[Any]":  # noqa: ARG001
        try:
            with _watched(scheduler):
                return run_as_tasks(scheduler, listener, metrics)
        except BaseException as error:
            # Who has left is not kept for minutes by Prefect's tries.
            hasty.enter_context(temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 1}))
            if scheduler.cancelled:
                return Cancelled(message="cancelled in Prefect")
            crashes.append(error)  # Prefect would keep it to itself, and a failed stage or a lost server would hide it
            raise

    made = flow(name="repro", flow_run_name=here.name.replace("{", "{{").replace("}", "}}"), task_runner=runner)
    try:
        with ExitStack() as hasty, tags(*here.tags):
            made(repro)(**parameters(list(asked), scheduler.options), return_state=True)
    except (TransportError, RuntimeError, HTTPStatusError) as error:
        if crashes:
            raise crashes[0] from None
        if not scheduler.results:
            raise UserError(_refused(error)) from error
        if len(scheduler.results) < len(scheduler.graph.stages):
            raise
        listener.hear(Message(f"Prefect's server is gone, which the stages did not need: {one_line(error)}"))
    if scheduler.cancelled:
        raise TransientError("cancelled in Prefect; the next run carries on")
    if crashes:
        raise crashes[0]


@contextmanager
def _watched(scheduler: Scheduler) -> Iterator[None]:
    """Have the run end when its flow run is cancelled: no worker is there to end this process."""
    context, over = FlowRunContext.get(), threading.Event()

    def watch() -> None:
        # With settings of its own, or it would be the flow's client, which is closed when that ends.
        own = get_client(httpx_settings={}, sync_client=True)
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), own as client:
            while context and context.flow_run and not over.wait(WATCH_SECONDS):
                with suppress(Exception):  # the server may be away, and answer anything
                    state = client.read_flow_run(context.flow_run.id).state
                    if state and (state.is_cancelling() or state.is_cancelled()) and not over.is_set():
                        scheduler.cancel()
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
    return f"{one_line(error)}; start that server: --pools needs it"
