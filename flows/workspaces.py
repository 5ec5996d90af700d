"""Workspaces in which deployed flows run, and the end of a flow that no further try would help."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRunPolicy
from prefect.context import FlowRunContext
from prefect.states import Failed

from gliaflow.errors import one_line
from gliaflow.team.checkout import checked_out
from gliaflow.team.packages import apart_from_checkout, same_packages

RETRY_SECONDS = 60  # before a whole run is tried once more


@contextmanager
def workspace(repository: str, rev: str) -> Iterator[Path]:
    """A workspace of this host at `rev` of `repository`, in which commands import nothing of the worker's checkout.

    Raises:
        UserError: it cannot be had, or pins other packages than this host's.
    """
    apart_from_checkout()
    with checked_out(repository, rev) as top:
        same_packages(top)
        yield top


def failed_for_good(error: Exception) -> Any:
    """The state of a flow that no further try would help."""
    context: Any = FlowRunContext.get()
    with get_client(sync_client=True) as client:  # else the server makes of a failure a try to come
        client.update_flow_run(context.flow_run.id, empirical_policy=FlowRunPolicy(retries=0))
    return Failed(message=one_line(error))
