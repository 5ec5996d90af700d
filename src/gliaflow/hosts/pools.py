"""The executor of work pools: stages on other hosts, to which they travel as a commit and a parcel.

What runs there is the flow of team/stage_flow.py, as the deployment `stage/POOL`.
"""

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Lease, Task
from gliaflow.errors import TransientError, UserError
from gliaflow.hosts import snapshot
from gliaflow.hosts.heartbeat import lease_seconds
from gliaflow.hosts.pool_run import FLOW, LOSSES, PoolRun
from gliaflow.machine import git

ABANDON_SECONDS = 5.0  # for what a thread does that nobody waits for any more
LOOKS = 10  # for a git that begins while the run ends; together they take as long again


class _Nothing:
    """The lease of a stage that needs nothing of this host."""

    def release(self) -> None:
        """There is nothing to give back."""


class Pools:
    """Runs the stages that ask for a work pool, other than the pool that this flow itself runs in."""

    travels, ahead = True, sys.maxsize

    def __init__(self) -> None:
        lease_seconds()  # what is wrong with it is told before anything runs
        context = FlowRunContext.get()
        self._server = PREFECT_API_URL.value()  # before one for this run alone is started
        # A flow that waited for a place in its own pool could wait for ever.
        self._own = context.flow_run.work_pool_name if context and context.flow_run else None
        self._refs = snapshot.place(datetime.now(UTC))
        self._sent: dict[str, str] = {}
        self._lock, self._closed = threading.Lock(), False
        self._top = Path()

    def accepts(self, stage: Stage) -> bool:
        """Whether the stage names a pool that it can be sent to."""
        return stage.settings.pool not in (None, self._own)

    def check(self, stages: Sequence[Stage]) -> None:
        """Look for a shared server, a git remote and the deployments.

        Raises:
            UserError: one of them is not there.
        """
        if not self._server:
            raise UserError("--pools needs the server that the team shares: set PREFECT_API_URL to it")
        self._top = git.top(Path.cwd())
        snapshot.origin(self._top)
        with get_client(sync_client=True) as client:
            for pool in sorted({str(stage.settings.pool) for stage in stages}):
                try:
                    client.read_deployment_by_name(f"{FLOW}/{pool}")
                except ObjectNotFound:
                    raise UserError(
                        f"there is no deployment {FLOW}/{pool} on {PREFECT_API_URL.value()}: `gliaflow pool {pool}` "
                        "makes it; or set PREFECT_API_URL to the server that the team shares"
                    ) from None

    def tries(self, stage: Stage) -> int:  # noqa: ARG002
        """One, and another for each host that is lost; what `meta` tells of retries counts on the host."""
        return LOSSES + 1

    def reserve(self, stage: Stage) -> Lease | None:  # noqa: ARG002
        """The hosts of the pool have slots of their own."""
        return _Nothing()

    def holders(self, stage: Stage) -> str:  # noqa: ARG002
        """Nothing of this host; that no worker takes it is told by its run."""
        return ""

    def launch(self, task: Task, lease: Lease) -> PoolRun:  # noqa: ARG002
        """Prepare to send the stage."""
        return PoolRun(task, self._top, self._commit)

    def _commit(self, unread: Sequence[str]) -> tuple[str, str]:
        """The workspace as a commit that the other hosts can have: its id, and the ref that holds it."""
        with self._lock:
            if self._closed:
                raise InterruptedError("interrupted")
            found = snapshot.snapshot(self._top, unread)
            if found not in self._sent:
                ref = f"{self._refs}/{found}"
                snapshot.send(self._top, found, ref, wanted=lambda: not self._closed)
                self._sent[found] = ref
            return found, self._sent[found]

    def close(self) -> None:
        """Take the commits back."""
        self._closed = True
        if self._lock.acquire(timeout=ABANDON_SECONDS):
            with suppress(UserError, TransientError, InterruptedError):
                snapshot.forget(self._top, self._sent.values())
            self._lock.release()
            return
        for _ in range(LOOKS):  # a git may begin just now, and none may outlive the flow that started it
            git.end()
            if self._lock.acquire(timeout=ABANDON_SECONDS / LOOKS):
                self._lock.release()
                return
