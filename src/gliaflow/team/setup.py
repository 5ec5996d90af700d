"""Set a team's Prefect server up: work pools with the deployment of their stages, and what prefect.yaml deploys."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.utilities.callables import parameter_schema
from prefect.workers.process import ProcessWorker
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gliaflow.errors import UserError, one_line
from gliaflow.flow.session import refusal
from gliaflow.hosts.pool_run import FLOW
from gliaflow.team.watch import watch

ENTRYPOINT = "gliaflow.team.stage_flow.stage"
COMMAND = "python -m prefect.engine"  # there is no code to be fetched
FILE = "prefect.yaml"
DEPLOYED = re.compile(r"Deployment '([^']+)' successfully")
REPOSITORY = "GLIAFLOW_REPOSITORY"  # fills the parameter of that name in prefect.yaml


@contextmanager
def answering() -> Iterator[SyncPrefectClient]:
    """A client of the configured server; what is wrong with that is one line.

    Raises:
        UserError: no server is named, it is not there, is another kind of server, or wants a password.
    """
    if not PREFECT_API_URL.value():
        raise UserError("which server? Set PREFECT_API_URL, as http://HOST:4200/api")
    try:
        with get_client(sync_client=True) as client:
            yield client
    except HTTPStatusError as error:
        raise UserError(refusal(error)) from error
    except HTTPError as error:
        raise UserError(f"{PREFECT_API_URL.value()}: {one_line(error)}; is the server there?") from error


def make_pool(
    name: str, limit: int | None = None, secrets: Mapping[str, str] = MappingProxyType({}), kind: str = "process"
) -> bool:
    """Make the work pool `name` and the deployment of its stages; whether the pool is new.

    `limit` is how many runs there are at once. A secret, variable → block, is a reference, which a worker resolves when
    it starts a run; prefect.yaml is no place for one, since `prefect deploy` would write the value into the deployment.

    Raises:
        UserError: the server does not answer well.
    """
    with answering() as client:
        made = _pool(client, name, kind)
        if limit:
            client.update_work_pool(name, WorkPoolUpdate(concurrency_limit=limit))
        if secrets:
            template = client.read_work_pool(name).base_job_template
            default = template["variables"]["properties"]["env"].setdefault("default", {})
            default |= {variable: f"{{{{ prefect.blocks.secret.{block} }}}}" for variable, block in secrets.items()}
            client.update_work_pool(name, WorkPoolUpdate(base_job_template=template))
        _deploy_stages(client, name)
    return made


def _pool(client: SyncPrefectClient, name: str, kind: str) -> bool:
    try:
        client.read_work_pool(name)
        return False
    except ObjectNotFound:
        template = ProcessWorker.get_default_base_job_template() if kind == "process" else {}
    try:
        client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=template))
        return True
    except ObjectAlreadyExists:  # somebody else made it just now
        return False


def _deploy_stages(client: SyncPrefectClient, pool: str) -> None:
    """Have stages that name the pool find the flow that runs them there."""
    from gliaflow.team.stage_flow import stage  # a second of imports, for this alone

    client.create_deployment(
        client.create_flow_from_name(FLOW),
        name=pool,
        description="One stage, for a flow on another host; retries, timeout and slots are those of its meta.",
        work_pool_name=pool,
        entrypoint=ENTRYPOINT,
        pull_steps=[],
        job_variables={"command": COMMAND},
        parameter_openapi_schema=parameter_schema(stage).model_dump(),
        enforce_parameter_schema=False,
    )


def pools_of(root: Path) -> list[str]:
    """The work pools that prefect.yaml in `root` names.

    Raises:
        UserError: there is no such file, or it is broken.
    """
    try:
        found = YAML(typ="safe", pure=True).load(root / FILE)
        named = (one.get("work_pool", {}).get("name") for one in found["deployments"])
    except FileNotFoundError:
        raise UserError(f"{root / FILE}: no such file; `gliaflow pool NAME` needs none") from None
    except (YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{root / FILE}: not what `prefect deploy` takes ({one_line(error)})") from None
    return sorted({str(name) for name in named if name})


def deploy(root: Path, repository: str) -> list[str]:
    """Write all of prefect.yaml in `root` to the server, and that runs are missed whose host is gone.

    It returns what was deployed. `repository` is where the workers get commits from.

    Raises:
        UserError: Prefect could not.
    """
    line = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    environment = {**os.environ, "PYTHONPATH": str(root), REPOSITORY: repository, "COLUMNS": "1000"}
    environment["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
    ended = subprocess.run(line, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UserError(f"prefect deploy: {one_line(ended.stderr or ended.stdout)}")
    with answering() as client:
        watch(client)
    return DEPLOYED.findall(ended.stdout)
