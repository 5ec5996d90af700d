"""A look for newer data: does Kaggle have another version of the data set than the pinned one?"""

from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.states import Completed, Failed

from flows.workspaces import workspace
from gliaflow.errors import GliaflowError, one_line
from gliaflow.machine.retry import retry
from stages import errors
from stages.lgg.download import DownloadParams
from stages.lgg.source import kaggle
from stages.params import load


@flow(validate_parameters=False)
def check_data(repository: str, rev: str = "main") -> Any:
    """Fail if Kaggle has another version of the data set than the one pinned, which only a person moves."""
    try:
        with workspace(repository, rev) as top:
            pinned = load(DownloadParams, "lgg.download", top / "params.yaml").version
        newest = retry(kaggle.newest, lasting=(errors.UserError,))
    except (GliaflowError, errors.GliaflowError) as error:
        return Failed(message=one_line(error))
    row = {"data set": kaggle.PAGE, "pinned": pinned, "newest": newest}
    create_table_artifact(key="data-version", table=[row], description="The version of the data at Kaggle")
    if newest != pinned:
        what = f"Kaggle has version {newest} of {kaggle.DATASET}, and lgg.download.version is {pinned}"
        return Failed(name="NewData", message=f"{what}: look at {kaggle.PAGE}, then move it in params.yaml")
    return Completed(message=f"version {pinned} is the newest")
