"""Set a team's Prefect server up, and join it: pools, deployments and workers.

python -m gliaflow.team.setup pools                 # the work pools cpu and gpu
python -m gliaflow.team.setup deploy                # these, and what prefect.yaml deploys
python -m gliaflow.team.setup worker gpu            # run stages of that pool on this host
"""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Literal

from cyclopts import Parameter
from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.settings import PREFECT_API_URL
from prefect.workers.process import ProcessWorker

from gliaflow.hosts import snapshot
from gliaflow.flow.session import refusal
from gliaflow.machine.gpus import visible_gpus
from gliaflow.team.watch import watch
from stages.command import run
from gliaflow.errors import UserError, one_line

ROOT = Path(__file__).parents[1]
DEFAULTS = {"PREFECT_WORKER_QUERY_SECONDS": "2"}  # Prefect's 10 are most of what a short stage takes in a pool
POOLS = ("cpu", "gpu")
DEPLOYED = re.compile(r"Deployment '([^']+)' successfully")
REPOSITORY = "GLIAFLOW_REPOSITORY"  # fills the parameter of that name in prefect.yaml


def main(
    action: Literal["pools", "deploy", "worker"],
    pool: str | None = None,
    *,
    limit: Annotated[int | None, Parameter(alias="-l")] = None,
    secret: Annotated[tuple[str, ...], Parameter(negative="")] = (),
    repository: str | None = None,
) -> None:
    """Set a team's Prefect server up, and join it.

    Parameters
    ----------
    action
        pools: make what is missing of the pools cpu and gpu. deploy: that, and all of prefect.yaml. worker: run stages.
    pool
        The pool that the worker serves, or that `limit` and `secret` are for.
    limit
        How many runs at once: of the whole pool, or of this worker, by default one for each GPU, in other pools for
        each CPU.
    secret
        NAME=BLOCK: have all runs of the pool find the value of that Prefect Secret block in the variable NAME.
    repository
        Where the workers get commits from; by default the git remote of this checkout.
    """
    if not PREFECT_API_URL.value():
        raise UserError("which server? Set PREFECT_API_URL, as http://HOST:4200/api")
    if limit is not None and limit < 1:
        raise UserError(f"--limit is {limit}; at least one run must be possible")
    if action == "worker":
        work(pool or "", limit)
    if (limit or secret) and not pool:
        raise UserError("--limit and --secret are for one pool: name it, as in `pools gpu --limit 4`")
    given = dict(one.partition("=")[::2] for one in secret)
    if not all(name.isidentifier() and block for name, block in given.items()):
        raise UserError(f"--secret is {' '.join(secret)}; it must be NAME=BLOCK, as AWS_SECRET_ACCESS_KEY=team-key")
    with answering():
        pools(pool, limit, given)
    if action == "deploy":
        deploy(repository or snapshot.origin(ROOT))


@contextmanager
def answering() -> Iterator[None]:
    """Have what is wrong with the server be one line.

    Raises:
        UserError: it is not there, is another kind of server, or wants a password.
    """
    try:
        yield
    except HTTPStatusError as error:
        raise UserError(refusal(error)) from error
    except HTTPError as error:
        raise UserError(f"{PREFECT_API_URL.value()}: {error}; is the server there?") from error


def pools(pool: str | None = None, limit: int | None = None, secrets: Mapping[str, str] = MappingProxyType({})) -> None:
    """Make the pools that are not there yet; of `pool` set how many runs there are at once, and add its secrets.

    A secret is a reference, which a worker resolves when it starts a run; prefect.yaml is no place for one, since
    `prefect deploy` would write the value into the deployment.
    """
    with get_client(sync_client=True) as client:
        for name in sorted({*POOLS, *filter(None, [pool])}):
            try:
                client.read_work_pool(name)
            except ObjectNotFound:
                template = ProcessWorker.get_default_base_job_template()
                try:
                    client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
                    print(f"made pool {name}")
                except ObjectAlreadyExists:  # somebody else did, just now
                    pass
        if pool and limit:
            client.update_work_pool(pool, WorkPoolUpdate(concurrency_limit=limit))
        if pool and secrets:
            template = client.read_work_pool(pool).base_job_template
            default = template["variables"]["properties"]["env"].setdefault("default", {})
            default |= {variable: f"{{{{ prefect.blocks.secret.{block} }}}}" for variable, block in secrets.items()}
            client.update_work_pool(pool, WorkPoolUpdate(base_job_template=template))


def deploy(repository: str) -> None:
    """Write all of prefect.yaml to the server, and that runs are missed whose host is gone.

    Raises:
        UserError: Prefect could not.
    """
    line = [sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), REPOSITORY: repository, "COLUMNS": "1000"}
    environment["PREFECT_API_URL"] = str(PREFECT_API_URL.value())
    ended = subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise UserError(f"prefect deploy: {one_line(ended.stderr or ended.stdout)}")
    with get_client(sync_client=True) as client:
        watch(client)
    for name in DEPLOYED.findall(ended.stdout):
        print(f"deployed {name}")
    print("on each host, in a clone of it: make worker POOL=gpu, or POOL=cpu")


def work(pool: str, limit: int | None) -> None:
    """Become a worker of the pool.

    Raises:
        UserError: no pool is named, the server does not answer well, or the environment is not what it should be.
    """
    if not pool:
        raise UserError(f"of which pool? Name one of {', '.join(POOLS)}, or one of your own: make worker POOL=gpu")
    # A second of imports, for this alone. They say as well what is wrong with what the worker's runs will read.
    from gliaflow.team.deployed import PACKAGES, PINNED, pinned

    up_to_date(ROOT / ".venv", ROOT / PINNED)
    with answering(), get_client(sync_client=True) as client:
        client.read_work_pools(limit=1)
    gpus = len(list(visible_gpus(os.environ)))
    most = limit or (max(gpus, 1) if pool == "gpu" else len(os.sched_getaffinity(0)))
    name = f"{socket.gethostname()}-{os.getpid()}"
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # `nohup … &` has it ignored, by which Prefect ends on SIGTERM
    line = ["worker", "start", "--pool", pool, "--type", "process", "--limit", str(most), "--name", name]
    _become(*line, **{PACKAGES: pinned(ROOT)})


def up_to_date(environment: Path, lock: Path) -> None:
    """What `make install` made must not be older than the lock file.

    Raises:
        UserError: this process runs in that environment, and it is.
    """
    stamp = environment / ".ready"
    if environment.is_symlink() or not stamp.exists() or not environment.samefile(sys.prefix):
        return  # it is not make's
    if stamp.stat().st_mtime < lock.stat().st_mtime:
        raise UserError(f"{lock.name} is newer than the packages that are installed: make install")


def _become(*line: str, **variables: str) -> None:
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {"PYTHONPATH": path, "PATH": programs}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "prefect", *line], {**DEFAULTS, **os.environ, **own, **variables})


if __name__ == "__main__":
    run(main)
