"""Signs of life of a stage on another host: the host gives them, and whoever waits for the stage listens."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import datetime
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.states import Cancelled

from gliaflow.errors import UserError

VARIABLE = "GLIAFLOW_LEASE_SECONDS"
BEATS = 6  # signs of life within a lease


def lease_seconds(environment: Mapping[str, str] = os.environ) -> float:
    """For how long there may be no sign of life before a stage is lost; the same on all hosts of a team.

    Raises:
        UserError: `GLIAFLOW_LEASE_SECONDS` is no number, or none that anyone could wait for.
    """
    text = environment.get(VARIABLE) or "60"
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= threading.TIMEOUT_MAX:
        raise UserError(f"{VARIABLE} is {text!r}; it must be a number of seconds above 0, as 60")
    return found


@contextmanager
def beating() -> Iterator[None]:
    """Give signs of life of the flow run while this lasts, and end it once the server takes it for ended."""
    context = FlowRunContext.get()
    run = context.flow_run if context else None
    over, beat_seconds = threading.Event(), lease_seconds() / BEATS

    def beat() -> None:
        before: UUID | None = None
        with get_client(sync_client=True) as client:
            while run and not over.wait(beat_seconds):
                with suppress(Exception):  # the server may be away, and say anything
                    client.update_flow_run(run.id, name=run.name)  # as it is: what counts is that it was written
                    state = client.read_flow_run(run.id).state
                    orphan = state and state.is_cancelling() and state.id == before  # its worker would have ended it
                    before = state.id if state else None
                    if orphan:
                        client.set_flow_run_state(run.id, Cancelled(), force=True)
                    if (orphan or (state and state.is_final())) and not over.is_set():
                        # Its caller has given it up. After a gentler end Prefect would write "Crashed" over the
                        # state; what it runs ends with it either way.
                        os.kill(os.getpid(), signal.SIGKILL)

    thread = threading.Thread(target=beat, name="signs of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()


class Silence:
    """For how long nothing was heard of a run, by this host's clock alone."""

    def __init__(self) -> None:
        self._last, self._since = None, time.monotonic()  # type: datetime | None, float

    def seconds(self, updated: "datetime | None") -> float:
        """Seconds since the server's record of the run changed last, which now reads `updated`."""
        if updated != self._last:
            self._last, self._since = updated, time.monotonic()
        return time.monotonic() - self._since

    def reset(self) -> None:
        """Count anew: the server does not answer, so that nothing can be heard."""
        self._since = time.monotonic()
