"""The whole graph as a flow, in a workspace that is there already: to run by hand, or to serve by a schedule."""

from typing import Any

from prefect import flow

import gliaflow
from flows.workspaces import RETRY_SECONDS


@flow(validate_parameters=False, retries=1, retry_delay_seconds=RETRY_SECONDS)
def repro(
    root: str = ".", targets: list[str] | None = None, jobs: int | None = None, flags: dict[str, Any] | None = None
) -> list[str]:
    """Run the stages of the workspace at `root`; `flags` are the fields of `gliaflow.Options`.

    Raises:
        NotReproduced: stages failed; Prefect tries the run once more.
    """
    report = gliaflow.reproduce(root, targets or (), jobs=jobs, options=gliaflow.Options(**(flags or {})))
    report.raise_if_failed()
    return report.reproduced
