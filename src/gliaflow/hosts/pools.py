"""Stages on the hosts of a work pool: sent as a commit and a parcel, followed while they run, and taken home by key.

What runs there is the flow `stage` of flows/deployed.py, as the deployment `stage/POOL`.
"""

import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from dvc.exceptions import DvcException
from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import LogFilter, LogFilterFlowRunId, LogFilterTimestamp
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import LogSort
from prefect.context import FlowRunContext
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelled, Cancelling, Crashed

from gliaflow.workspace import parcel
from gliaflow.machine import git as run_git
from gliaflow.hosts import snapshot
from gliaflow.core.graph import Graph, Stage
from gliaflow.machine.retry import retry
from gliaflow.core.options import Outcome
from gliaflow.hosts.heartbeat import LEASE_SECONDS, Pulse
from gliaflow.store.records import Record
from gliaflow.machine.spawn import GRACE_SECONDS
from gliaflow.flow.tasks import LINES
from gliaflow.core.scheduler import Job, Walk
from gliaflow.workspace.workspace import Workspace
from gliaflow.errors import TransientError, UserError

FLOW = "stage"  # of the deployments
PASSING = {408, 429, *range(500, 600)}  # what a server or a proxy answers that may answer better in a moment
REFUSED = "Refused"  # the name of the state of one that the user must mend
PENDING_SECONDS = 150.0  # that a host may take from having it to beginning it
LOSSES = 3  # of one stage, before it fails
POLL_SECONDS = 0.5
LATE_SECONDS = 15.0  # before it is said that no host takes the stage
CANCEL_SECONDS = GRACE_SECONDS + 4  # that it may take to end what runs there; the walk waits a little longer
OVERLAP = timedelta(seconds=3)  # that lines may come late, or out of order
BATCH, BATCHES = 200, 5  # lines a request, as many as Prefect gives; requests before something else is looked at
ABANDON_SECONDS = 5.0  # for what a thread does that nobody waits for any more
MADE = re.compile(r"^(.+): run (\w+)/(\w+)$")

Show = Callable[[str, bool], None]
T = TypeVar("T")


def made(outcome: Outcome, record: Record) -> str:
    """What a stage that ended well leaves as the message of its state."""
    return f"{outcome.value}: run {record.key}/{record.value}"


class Pools:
    """The stages of a walk that ask for a work pool other than the one that this flow runs in itself."""

    def __init__(self, workspace: Workspace) -> None:
        self.workspace, self.top = workspace, workspace.top
        context = FlowRunContext.get()
        self._server = PREFECT_API_URL.value()  # before one for this run alone is started
        self._here = context.flow_run.work_pool_name if context and context.flow_run else None
        self._refs = snapshot.place(datetime.now(UTC))
        self._sent: dict[str, str] = {}
        self._lock, self._closed = threading.Lock(), False

    def takes(self, stage: Stage) -> bool:
        """Whether the stage runs on another host; a pool that waited for itself could wait for ever."""
        return stage.settings.pool not in (None, self._here)

    def job(self, walk: Walk, stage: Stage) -> Job:
        """Its tries."""
        return Errand(self, walk, stage)

    def check(self, graph: Graph) -> None:
        """Look for what every stage needs before any runs.

        Raises:
            UserError: a pool has no deployment on this server, or commits and outputs could not travel.
        """
        away = [stage for stage in graph.stages if self.takes(stage)]
        if not away:
            return
        if not self._server:
            raise UserError("--pools needs the server that the team shares: set PREFECT_API_URL to it")
        snapshot.origin(self.top)
        self.workspace.check_travels(stage.address for stage in away)
        with get_client(sync_client=True) as client:
            for pool in sorted({str(stage.settings.pool) for stage in away}):
                try:
                    client.read_deployment_by_name(f"{FLOW}/{pool}")
                except ObjectNotFound:
                    raise UserError(
                        f"there is no deployment {FLOW}/{pool} on {PREFECT_API_URL.value()}: make deploy, "
                        "or set PREFECT_API_URL to the server that the team shares"
                    ) from None

    def commit(self, unread: list[str]) -> tuple[str, str]:
        """The workspace as a commit that the other hosts can have: its id, and the ref that holds it."""
        with self._lock:
            if self._closed:
                raise InterruptedError("interrupted")
            found = snapshot.snapshot(self.top, unread)
            if found not in self._sent:
                ref = f"{self._refs}/{found}"
                snapshot.send(self.top, found, ref)
                self._sent[found] = ref
            return found, self._sent[found]

    def close(self) -> None:
        """Take the commits back."""
        self._closed = True
        if self._lock.acquire(timeout=ABANDON_SECONDS):
            with suppress(UserError, TransientError):
                snapshot.forget(self.top, self._sent.values())
            self._lock.release()
        run_git.end()


class Lost(ConnectionError):
    """Nothing was heard any more of the host that ran a stage."""


class Errand(Job):
    """The tries of one stage on the hosts of a pool: one, and another for each host that was lost.

    What its `meta` says of retries, time and slots counts there.
    """

    def __init__(self, pools: Pools, walk: Walk, stage: Stage) -> None:
        super().__init__(walk, stage, None)
        self.retries = LOSSES
        self._pools, self._stop = pools, threading.Event()

    def stop(self, number: int) -> None:  # noqa: ARG002
        """Have it cancelled."""
        self._stop.set()

    def attempt(self, show: Show) -> dict[str, str]:
        """Send it, follow it, and record what it made."""
        workspace, address = self._pools.workspace, self.stage.address
        if self.tries > 1:
            workspace.hold(address, os.getpid())
        sent, unread = workspace.parcel(address)
        self._unless_stopped(lambda: parcel.send(sent))
        commit, ref = self._unless_stopped(lambda: self._pools.commit(unread))
        parameters = {
            "repository": snapshot.origin(self._pools.top),
            "ref": ref,
            "commit": commit,
            "parcel": sent.plain(),
            "force": address in self.walk.forced,
            "run_cache": self.walk.flags.run_cache,
        }
        if self._stop.is_set():
            raise InterruptedError("interrupted")
        self.walk.screen.began(address, [f"in pool {self.stage.settings.pool}"])
        submitted = self._submit(parameters)
        try:
            ended = self._follow(submitted, show)
        except Lost:
            raise
        except BaseException:  # nobody follows it any more
            with suppress(Exception), get_client(sync_client=True) as client:
                client.set_flow_run_state(submitted.id, Cancelling())
            raise
        self.outcome, record = self._judge(ended)
        self._unless_stopped(lambda: parcel.fetch(record))
        return workspace.arrive(address, record)

    def _unless_stopped(self, action: Callable[[], T]) -> T:
        """What it returns; a remote may keep it for as long as it likes, but nobody waits once the stage is to stop."""
        found: Future[T] = Future()

        def act() -> None:
            try:
                found.set_result(action())
            except BaseException as error:
                found.set_exception(error)

        context = copy_context()
        threading.Thread(target=lambda: context.run(act), name=self.stage.address, daemon=True).start()
        while not self._stop.is_set():
            with suppress(TimeoutError):
                return found.result(timeout=POLL_SECONDS)
            if found.done():  # a TimeoutError of its own
                return found.result()
        raise InterruptedError("interrupted")

    def _submit(self, parameters: dict[str, Any]) -> FlowRun:
        once = uuid.uuid4().hex  # a request whose answer was lost makes no second run
        name = f"{FLOW}/{self.stage.settings.pool}"

        def submitted() -> FlowRun:
            named = {"flow_run_name": self.stage.address, "idempotency_key": once}
            return run_deployment(name, parameters=parameters, timeout=0, **named)  # type: ignore[return-value,arg-type]

        return retry(submitted)

    def _follow(self, run: FlowRun, show: Show) -> FlowRun:
        """Until it ends, show what it says; the server may be away for a while."""
        pulse, lines, stopping, began = Pulse(), Said(run.id), 0.0, time.monotonic()
        told = asked = False
        # Without the client's own tries, which take a minute in which nobody knows that the server is away.
        with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
            while True:
                if self._stop.is_set() and not stopping:
                    stopping = time.monotonic()
                try:
                    run = client.read_flow_run(run.id)
                    for line in lines.new(client):
                        show(line, True)
                    if stopping and not asked:
                        waits = run.state and run.state.is_scheduled()  # there is nobody to end it
                        client.set_flow_run_state(run.id, Cancelled() if waits else Cancelling())
                        asked = True
                    if not (run.state and run.state.is_final()):
                        self._lost(client, run, pulse)
                except ObjectNotFound:
                    raise DvcException("its run was deleted on the Prefect server") from None
                except HTTPError as error:
                    if isinstance(error, HTTPStatusError) and error.response.status_code not in PASSING:
                        raise
                    pulse.missed()
                else:
                    if run.state and run.state.is_final():
                        break
                    late = time.monotonic() - began > LATE_SECONDS
                    if run.state and run.state.is_scheduled() and late and not told:
                        told = True
                        self.walk.screen.say(f"{self.stage.address} waits for a worker of pool {self._pool()}")
                if stopping and time.monotonic() - stopping > CANCEL_SECONDS:
                    break
                time.sleep(POLL_SECONDS)
            with suppress(HTTPError):
                for line in lines.new(client) if stopping else lines.last(client):
                    show(line, True)
        return run

    def _lost(self, client: SyncPrefectClient, run: FlowRun, pulse: Pulse) -> None:
        """Give a run up whose host is silent, so that a host that lives after all ends it."""
        silence = pulse.silence(run.updated)
        if not run.state or run.state.is_scheduled() or self._stop.is_set():
            return
        if silence > (PENDING_SECONDS if run.state.is_pending() else LEASE_SECONDS):
            reason = f"nothing was heard of its host in pool {self._pool()} for {silence:.0f} s"
            client.set_flow_run_state(run.id, Crashed(message=reason), force=True)
            raise self._gone(reason)

    def _judge(self, run: FlowRun) -> tuple[Outcome, Record]:
        state = run.state
        if self._stop.is_set() or self.walk.stopping.is_set():
            raise InterruptedError("interrupted")
        assert state
        message = str(state.message or state.name)
        if state.is_completed() and (match := MADE.match(message)):
            return Outcome(match[1]), Record(match[2], match[3])
        if state.is_crashed():
            raise self._gone(f"its host in pool {self._pool()} went away: {message}")
        if state.name == REFUSED:
            raise UserError(f"in pool {self._pool()}: {message}")
        raise DvcException(f"in pool {self._pool()}: {message}")

    def _gone(self, reason: str) -> Lost:
        """Its host is; another may take it."""
        self.again = self.tries <= LOSSES
        if self.again:
            self.walk.screen.say(f"{self.stage.address}: {reason}; try {self.tries + 1} of {LOSSES + 1}")
        return Lost(reason)

    def _pool(self) -> str:
        return f"'{self.stage.settings.pool}'"


class Said:
    """What the stage of a run said and this has not yet given."""

    def __init__(self, run: uuid.UUID) -> None:
        self._run, self._seen = run, dict[uuid.UUID, datetime]()
        self._after: datetime | None = None
        self._offset = 0  # of what is read since then
        self.behind = False

    def new(self, client: SyncPrefectClient) -> Iterator[str]:
        """Lines in order; of a stage that says much only some, and `behind` tells that there are more."""
        self.behind = True
        for _ in range(BATCHES):
            after = LogFilterTimestamp(after_=self._after) if self._after else None
            only = LogFilter(flow_run_id=LogFilterFlowRunId(any_=[self._run]), timestamp=after)
            batch = client.read_logs(only, limit=BATCH, offset=self._offset, sort=LogSort.TIMESTAMP_ASC)
            for log in batch:
                if log.id not in self._seen:
                    self._seen[log.id] = log.timestamp
                    if log.name.endswith(f".{LINES}"):
                        yield log.message
            self._offset += len(batch)
            if self._offset >= BATCH or len(batch) < BATCH:
                self._move()
            if len(batch) < BATCH:
                self.behind = False
                return

    def _move(self) -> None:
        """Read on from the last line; no longer than `OVERLAP` is remembered what was read."""
        if self._seen:
            self._after = max(self._seen.values()) - OVERLAP
            self._seen = {line: when for line, when in self._seen.items() if when >= self._after}
            self._offset = 0

    def last(self, client: SyncPrefectClient) -> Iterator[str]:
        """What comes within a moment after the end."""
        time.sleep(POLL_SECONDS)
        self.behind = True
        while self.behind:
            yield from self.new(client)
