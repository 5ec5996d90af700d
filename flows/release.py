"""A data version, published from the server rather than from a laptop."""

import os
from typing import Any

from prefect import flow
from prefect.states import Completed

import gliaflow
from flows.workspaces import RETRY_SECONDS, failed_for_good, workspace
from gliaflow.machine.git import WHO, git
from gliaflow.machine.retry import retry
from gliaflow.store.repository import opened


@flow(validate_parameters=False, retries=1, retry_delay_seconds=RETRY_SECONDS)
def release(name: str, repository: str, rev: str = "main", licence: str | None = None) -> Any:
    """Name the data of a commit, all of which is on the remote already; what the user must change ends it at once."""
    try:
        with workspace(repository, rev) as top:
            if git(top, "var", "GIT_COMMITTER_IDENT", check=False).returncode:  # nobody is known to git on this host
                os.environ |= WHO
            with opened(top) as repo:
                retry(repo.pull)
            gliaflow.publish(name, top, licence=licence)
    except gliaflow.UserError as error:
        return failed_for_good(error)
    return Completed(message=f"published {name}")
