"""The flow `stage`, which runs one stage on a worker's host for a flow on another one.

`gliaflow pool NAME` deploys it as `stage/NAME`.
"""

import socket
from contextlib import chdir
from typing import Any

from prefect import flow
from prefect.logging.handlers import APILogWorker
from prefect.states import Completed, Failed

from gliaflow import api
from gliaflow.core.options import Options
from gliaflow.core.ports import Parcel, Reply
from gliaflow.core.report import Outcome
from gliaflow.errors import GliaflowError, UserError, one_line
from gliaflow.hosts.heartbeat import beating
from gliaflow.hosts.pool_run import FLOW, REFUSED, as_message
from gliaflow.team.checkout import checked_out
from gliaflow.team.packages import apart_from_checkout, same_packages
from gliaflow.workspace import parcel as parcels

DRAIN_SECONDS = 10.0  # for lines that the server has not got yet


@flow(name=FLOW, validate_parameters=False)
def stage(
    repository: str, ref: str, commit: str, parcel: dict[str, Any], force: bool = False, run_cache: bool = True
) -> Any:
    """Run one stage in a workspace of its own; whoever asked takes home what it made by the key of its run."""
    sent = Parcel(**parcel)
    try:
        apart_from_checkout()
        with api.dvc_errors(), beating(), checked_out(repository, ref, commit, sent.dvc_root) as top:
            same_packages(top)
            (top / sent.folder).mkdir(parents=True, exist_ok=True)  # git knows no empty folders
            with chdir(top / sent.folder):
                return Completed(message=as_message(_run(sent, force, run_cache)))
    except GliaflowError as error:
        cause = error.__cause__ or error
        name = REFUSED if isinstance(cause, UserError) else "Failed"
        return Failed(name=name, message=one_line(f"on {socket.gethostname()}: {cause}"))
    finally:
        APILogWorker.drain_all(timeout=DRAIN_SECONDS)


def _run(sent: Parcel, force: bool, run_cache: bool) -> Reply:
    known = parcels.unpack(sent, run_cache and not force)
    again = force or not known  # even if its outputs are in git, as metrics are, or it leaves no record
    report = api.reproduce(targets=sent.address, options=Options(single_item=True, force=again, run_cache=run_cache))
    report.raise_if_failed()
    record = parcels.push(sent)
    ran = any(result.outcome is Outcome.RUN for result in report.results)
    return Reply(Outcome.RUN if ran else Outcome.RESTORED, record.key, record.value)
