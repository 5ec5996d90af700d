"""Prefect's API for one run from the command line: a server if there is none, and nothing of its own on the console."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from httpx import HTTPStatusError
from prefect.events.worker import EventsWorker
from prefect.logging.handlers import APILogWorker
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_RUNNER_HEARTBEAT_FREQUENCY, temporary_settings

from gliaflow.flow.server import shared

PASSWORDS = (401, 403)
DRAIN_SECONDS = 30.0  # for what Prefect has not yet been told at the end


def refusal(error: HTTPStatusError) -> str:
    """What the user should know of a server that answers so, on one line."""
    url, code = PREFECT_API_URL.value(), error.response.status_code
    if code in PASSWORDS:
        return f"{url}: the server wants a password: set PREFECT_API_AUTH_STRING"
    return f"{url}: the server answers {code}; is it Prefect's?"


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
