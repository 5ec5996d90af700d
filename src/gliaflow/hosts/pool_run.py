"""One try of a stage on a host of a work pool: sent, followed while it runs, and taken home by the key of its run."""

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from contextvars import copy_context
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Cancelling, Crashed

from gliaflow.core.ports import Ended, Listener, Reply, Task
from gliaflow.core.report import Began, Line, Message, Outcome
from gliaflow.errors import GliaflowError, UserError
from gliaflow.hosts import snapshot
from gliaflow.hosts.heartbeat import Silence, lease_seconds
from gliaflow.hosts.logs import RunLogs
from gliaflow.machine.retry import retry
from gliaflow.machine.spawn import GRACE_SECONDS
from gliaflow.store.records import Record
from gliaflow.workspace import parcel

FLOW = "stage"  # of the deployments
REFUSED = "Refused"  # the name of the state of a run in which the user must change something
PASSING = {408, 429, *range(500, 600)}  # what a server or a proxy answers that may answer better in a moment
PENDING_SECONDS = 150.0  # that a host may take from having a run to beginning it
LOSSES = 3  # of one stage, before it fails
POLL_SECONDS = 0.5
LATE_SECONDS = 15.0  # before a message tells that no host takes the stage
CANCEL_SECONDS = GRACE_SECONDS + 4  # that a host may take to end what runs there; the scheduler waits a little longer
REPLY = re.compile(r"^(.+): run (\w+)/(\w+)$")

T = TypeVar("T")


def as_message(reply: Reply) -> str:
    """What a stage that ended well leaves as the message of its state."""
    return f"{reply.outcome.value}: run {reply.key}/{reply.value}"


class FailedThere(GliaflowError):
    """The stage failed on its host."""

    exit_code = 1


class Lost(ConnectionError):
    """Nothing was heard any more of the host that ran a stage."""


class PoolRun:
    """One try; `commit` sends the workspace as a commit, and returns its id and the ref that holds it."""

    def __init__(self, task: Task, top: Path, commit: Callable[[Sequence[str]], tuple[str, str]]) -> None:
        self._task, self._top, self._commit = task, top, commit
        self._address, self._pool = task.stage.address, f"'{task.stage.settings.pool}'"
        self._stop, self._lease = threading.Event(), lease_seconds()
        self.pid = os.getpid()

    def stop(self, number: int) -> None:  # noqa: ARG002
        """Have the run cancelled."""
        self._stop.set()

    def close(self) -> None:
        """Nothing of it runs here."""

    def wait(self, listener: Listener) -> Ended:
        """Send the stage, follow it, and fetch what it made."""
        try:
            return Ended(reply=self._sent_and_fetched(listener))
        except Lost as error:
            if self._task.number <= LOSSES:
                following = f"try {self._task.number + 1} of {LOSSES + 1}"
                listener.hear(Message(f"{self._address}: {error}; {following}"))
            return Ended(error, again=True)
        except Exception as error:
            return Ended(error)

    def _sent_and_fetched(self, listener: Listener) -> Reply:
        sent = self._task.prepared.parcel
        assert sent
        self._unless_stopped(lambda: parcel.send(sent))
        commit, ref = self._unless_stopped(lambda: self._commit(sent.unread))
        parameters = {
            "repository": snapshot.origin(self._top),
            "ref": ref,
            "commit": commit,
            "parcel": asdict(sent),
            "force": self._task.forced,
            "run_cache": self._task.run_cache,
        }
        if self._stop.is_set():
            raise InterruptedError("interrupted")
        listener.hear(Began(self._address, [f"in pool {self._task.stage.settings.pool}"]))
        with self._cancelled_on_error(self._submit(parameters)) as submitted:
            ended = self._follow(submitted, listener)
        reply = self._judged(ended)
        self._unless_stopped(lambda: parcel.fetch(Record(reply.key, reply.value)))
        return reply

    def _unless_stopped(self, action: Callable[[], T]) -> T:
        """What it returns; a remote may take as long as it likes, but nobody waits once the stage is to stop."""
        found: Future[T] = Future()

        def act() -> None:
            try:
                found.set_result(action())
            except BaseException as error:
                found.set_exception(error)

        context = copy_context()
        threading.Thread(target=lambda: context.run(act), name=self._address, daemon=True).start()
        while not self._stop.is_set():
            with suppress(TimeoutError):
                return found.result(timeout=POLL_SECONDS)
            if found.done():  # a TimeoutError of its own
                return found.result()
        raise InterruptedError("interrupted")

    def _submit(self, parameters: dict[str, Any]) -> FlowRun:
        once = uuid.uuid4().hex  # a request whose answer was lost makes no second run
        name = f"{FLOW}/{self._task.stage.settings.pool}"

        def submitted() -> FlowRun:
            named = {"flow_run_name": self._address, "idempotency_key": once}
            return run_deployment(name, parameters=parameters, timeout=0, **named)  # type: ignore[return-value,arg-type]

        return retry(submitted)

    @contextmanager
    def _cancelled_on_error(self, submitted: FlowRun) -> Iterator[FlowRun]:
        """Cancel the run if nobody follows it any more; a lost one is Crashed already."""
        try:
            yield submitted
        except Lost:
            raise
        except BaseException:
            with suppress(Exception), get_client(sync_client=True) as client:
                client.set_flow_run_state(submitted.id, Cancelling())
            raise

    def _follow(self, run: FlowRun, listener: Listener) -> FlowRun:
        """Until it ends, tell its lines; the server may be away for a while."""
        silence, logs, stopping, began = Silence(), RunLogs(run.id), 0.0, time.monotonic()
        told = asked = False
        # Without the client's own tries, which take a minute in which nobody knows that the server is away.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
            while True:
                if self._stop.is_set() and not stopping:
                    stopping = time.monotonic()
                try:
                    run = client.read_flow_run(run.id)
                    for line in logs.new(client):
                        listener.hear(Line(self._address, line))
                    if stopping and not asked:
                        waits = run.state and run.state.is_scheduled()  # there is nobody to end it
                        client.set_flow_run_state(run.id, Cancelled() if waits else Cancelling())
                        asked = True
                    if not (run.state and run.state.is_final()):
                        self._give_up_silent(client, run, silence)
                except ObjectNotFound:
                    raise FailedThere("its run was deleted on the Prefect server") from None
                except HTTPError as error:
                    if isinstance(error, HTTPStatusError) and error.response.status_code not in PASSING:
                        raise
                    silence.reset()
                else:
                    if run.state and run.state.is_final():
                        break
                    late = time.monotonic() - began > LATE_SECONDS
                    if run.state and run.state.is_scheduled() and late and not told:
                        told = True
                        listener.hear(Message(f"{self._address} waits for a worker of pool {self._pool}"))
                if stopping and time.monotonic() - stopping > CANCEL_SECONDS:
                    break
                time.sleep(POLL_SECONDS)
            with suppress(HTTPError):
                for line in logs.new(client) if stopping else logs.last(client):
                    listener.hear(Line(self._address, line))
        return run

    def _give_up_silent(self, client: SyncPrefectClient, run: FlowRun, silence: Silence) -> None:
        """Give a run up whose host is silent, so that a host that lives after all ends it."""
        seconds = silence.seconds(run.updated)
        if not run.state or run.state.is_scheduled() or self._stop.is_set():
            return
        if seconds > (PENDING_SECONDS if run.state.is_pending() else self._lease):
            reason = f"nothing was heard of its host in pool {self._pool} for {seconds:.0f} s"
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
            raise Lost(reason)

    def _judged(self, run: FlowRun) -> Reply:
        state = run.state
        if self._stop.is_set():
            raise InterruptedError("interrupted")
        assert state
        message = str(state.message or state.name)
        if state.is_completed() and (match := REPLY.match(message)):
            return Reply(Outcome(match[1]), match[2], match[3])
        if state.is_crashed():
            raise Lost(f"its host in pool {self._pool} went away: {message}")
        if state.name == REFUSED:
            raise UserError(f"in pool {self._pool}: {message}")
        raise FailedThere(f"in pool {self._pool}: {message}")
