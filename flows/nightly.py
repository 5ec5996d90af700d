"""The whole graph at the head of a branch, by schedule, on the hosts of the pools that stages name."""

from typing import Any

from prefect import flow
from prefect.logging import get_run_logger

import gliaflow
from flows.workspaces import RETRY_SECONDS, failed_for_good, workspace


@flow(validate_parameters=False, retries=1, retry_delay_seconds=RETRY_SECONDS)
def nightly(
    repository: str,
    rev: str = "main",
    targets: list[str] | None = None,
    jobs: int | None = None,
    flags: dict[str, Any] | None = None,
) -> Any:
    """Run the stages of `rev`, a branch, tag or whole commit id of `repository`, and push what was computed.

    `flags` are the fields of `gliaflow.Options`. What the user must change ends the run at once; after stages failed it
    raises, and Prefect tries it once more.

    Raises:
        NotReproduced: stages failed, which may pass.
    """
    try:
        with workspace(repository, rev) as top:
            try:
                options = gliaflow.Options(**{"pull": True, **(flags or {})})
                report = gliaflow.reproduce(top, targets or (), options=options, jobs=jobs, executors=["pools"])
                report.raise_if_failed()
                return report.reproduced
            finally:
                for record in gliaflow.push(top).problems:
                    get_run_logger().warning("not pushed, since not all of it is here: run %s", record.value)
    except gliaflow.UserError as error:
        return failed_for_good(error)
