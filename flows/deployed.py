"""The flows that prefect.yaml deploys, each in a workspace of the worker's host at the commit that it is asked for."""

import os
import socket
from contextlib import chdir
from hashlib import sha256
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException, ReproductionError
from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRunPolicy
from prefect.context import FlowRunContext
from prefect.logging import get_run_logger
from prefect.logging.handlers import APILogWorker
from prefect.states import Completed, Failed

from flows import parcel as parcels
from flows import versions
from flows.checkout import checked_out
from flows.insist import insist
from flows.lines import one_line
from flows.options import Outcome
from flows.pools import FLOW, REFUSED, made
from flows.pulse import beating
from flows.remote import Remote
from flows.repro import reproduce
from flows.run_git import WHO, git
from flows.screen import Screen
from stages.errors import GliaflowError, UserError
from stages.lgg.download import DownloadParams
from stages.lgg.source import kaggle as kaggle_source
from stages.params import load

ENGINE = Path(__file__).parents[1]
PINNED = "requirements.lock"
PACKAGES = "GLIAFLOW_PACKAGES"  # tells a worker's runs which of these it was started with
RETRY_SECONDS = 60  # before a whole run is tried once more
DRAIN_SECONDS = 10.0  # for lines that the server has not got yet


@flow(name=FLOW, validate_parameters=False)
def stage(
    repository: str, ref: str, commit: str, parcel: dict[str, Any], force: bool = False, run_cache: bool = True
) -> Any:
    """One stage for a flow on another host, which takes home what it made by the key of its run."""
    sent = parcels.Parcel(**parcel)
    try:
        apart_from_engine()
        with beating(), checked_out(repository, ref, commit, sent.dvc_root) as top:
            same_packages(top)
            (top / sent.folder).mkdir(parents=True, exist_ok=True)  # git knows no empty folders
            with chdir(top / sent.folder):
                known = parcels.unpack(sent, run_cache and not force)
                screen = Screen(quiet=True)
                again = force or not known  # even if its outputs are in git, as metrics are, or it leaves no record
                reproduce(targets=sent.address, single_item=True, force=again, run_cache=run_cache, screen=screen)
                record = parcels.push(sent)
    except (DvcException, GliaflowError) as error:
        cause = error.__cause__ if isinstance(error, DvcException) and error.__cause__ else error
        name = REFUSED if isinstance(cause, UserError) else "Failed"
        return Failed(name=name, message=one_line(f"on {socket.gethostname()}: {cause}"))
    finally:
        APILogWorker.drain_all(timeout=DRAIN_SECONDS)
    ran = any(row.outcome is Outcome.RUN for row in screen.rows)
    return Completed(message=made(Outcome.RUN if ran else Outcome.RESTORED, record))


@flow(validate_parameters=False, retries=1, retry_delay_seconds=RETRY_SECONDS)
def repro(
    root: str = ".",
    targets: list[str] | None = None,
    jobs: int | None = None,
    flags: dict[str, Any] | None = None,
    repository: str | None = None,
    rev: str = "main",
    pools: bool = False,
) -> Any:
    """The whole graph: `flags` are keywords of `flows.repro.reproduce`; with `pools` stages go to the pools they name.

    With `repository` at its branch, tag or whole commit id `rev`, in a workspace of its own, and with `pools`; what was
    computed is then pushed to the remote; what the user must mend is its end at once. Otherwise in the workspace at
    `root`. It raises, where others return a state: only so does Prefect try it again.
    """
    if repository is None:
        return reproduce(root, targets, jobs=jobs, pools=pools, **(flags or {}))
    apart_from_engine()
    try:
        with checked_out(repository, rev) as top:
            same_packages(top)
            try:
                return reproduce(top, targets, jobs=jobs, pools=True, **{"pull": True, **(flags or {})})
            finally:
                with versions.opened(top) as opened:
                    sent = insist(lambda: Remote(opened).push())
                    for record in sent.lacking.keys() - sent.gone:
                        get_run_logger().warning("not pushed, since not all of it is here: run %s", record.value)
    except ReproductionError:  # stages failed, which may pass
        raise
    except (UserError, DvcException) as error:
        return _for_good(error)


@flow(validate_parameters=False, retries=1, retry_delay_seconds=RETRY_SECONDS)
def publish(name: str, repository: str, rev: str = "main", licence: str | None = None) -> Any:
    """Name the data of a commit whose data is on the remote already; what the user must mend is its end at once."""
    try:
        with checked_out(repository, rev) as top, versions.opened(top) as opened:
            if git(top, "var", "GIT_COMMITTER_IDENT", check=False).returncode:  # nobody is known to git on this host
                os.environ |= WHO
            insist(opened.pull)
            versions.publish(opened, name, licence, None)
    except UserError as error:
        return _for_good(error)
    return Completed(message=f"published {name}")


def _for_good(error: Exception) -> Any:
    """The state of a flow that no further try would help."""
    context: Any = FlowRunContext.get()
    with get_client(sync_client=True) as client:  # else the server makes of a failure a try to come
        client.update_flow_run(context.flow_run.id, empirical_policy=FlowRunPolicy(retries=0))
    return Failed(message=one_line(str(error)))


@flow(validate_parameters=False)
def check_data(repository: str, rev: str = "main") -> Any:
    """Fail if Kaggle has another version of the data set than the one pinned, which only a person moves."""
    try:
        with checked_out(repository, rev) as top:
            pinned = load(DownloadParams, "lgg.download", top / "params.yaml").version
        newest = insist(kaggle_source.newest)
    except GliaflowError as error:
        return Failed(message=one_line(str(error)))
    row = {"data set": kaggle_source.PAGE, "pinned": pinned, "newest": newest}
    create_table_artifact(key="data-version", table=[row], description="The version of the data at Kaggle")
    if newest != pinned:
        what = f"Kaggle has version {newest} of {kaggle_source.DATASET}, and lgg.download.version is {pinned}"
        return Failed(name="NewData", message=f"{what}: look at {kaggle_source.PAGE}, then move it in params.yaml")
    return Completed(message=f"version {pinned} is the newest")


def apart_from_engine() -> None:
    """Let commands import what is in their commit, and nothing of the checkout that the worker runs from."""
    path = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    os.environ["PYTHONPATH"] = os.pathsep.join(entry for entry in path if entry and Path(entry) != ENGINE)


def pinned(root: Path) -> str:
    """Which packages the lock file in `root` names, as its hash; nothing if there is none."""
    lock = root / PINNED
    return sha256(lock.read_bytes()).hexdigest() if lock.exists() else ""


def same_packages(top: Path) -> None:
    """A result of other packages than the lock file names must not be recorded under its hash.

    Raises:
        UserError: the commit at `top` is of this project and pins others than this environment was made from.
    """
    ours, theirs = pinned(ENGINE), pinned(top)
    if not ((top / Path(__file__).relative_to(ENGINE)).exists() and ours and theirs):
        return  # another project
    if os.environ.get(PACKAGES) not in (None, ours):
        raise UserError(f"{PINNED} has changed on the worker's host since the worker was started: make worker again")
    if ours != theirs:
        raise UserError(f"the worker's packages are of another {PINNED}: git pull there, make worker again")
