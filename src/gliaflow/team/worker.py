"""Become a worker of a work pool: a Prefect process worker, with what its runs need to know of this host."""

import os
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from gliaflow.errors import UserError
from gliaflow.resources.slots import usable_cpus, visible_gpus
from gliaflow.team.packages import CHECKOUT, PACKAGES, PINNED, pinned
from gliaflow.team.setup import FILE, answering

DEFAULTS = {"PREFECT_WORKER_QUERY_SECONDS": "2"}  # Prefect's 10 are most of what a short stage takes in a pool


def work(pool: str, root: Path, limit: int | None = None) -> NoReturn:
    """Run stages of the pool on this host, as many at once as it has GPUs, or CPUs in a pool not called "gpu".

    `root` is the checkout that the worker is started in: its requirements.lock tells which packages are installed here,
    and the flows of its prefect.yaml are imported from it.

    Raises:
        UserError: the server does not answer well, or the packages are older than the lock file.
    """
    import gliaflow.team.stage_flow  # noqa: F401, which tells as well what is wrong with what the worker's runs read

    up_to_date(root / ".venv", root / PINNED)
    with answering() as client:
        client.read_work_pools(limit=1)
    gpus = len(list(visible_gpus(os.environ)))
    most = limit or (max(gpus, 1) if pool == "gpu" else usable_cpus())
    name = f"{socket.gethostname()}-{os.getpid()}"
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # `nohup … &` has it ignored, by which Prefect ends on SIGTERM
    line = ["worker", "start", "--pool", pool, "--type", "process", "--limit", str(most), "--name", name]
    _become(root, *line)


def up_to_date(environment: Path, lock: Path) -> None:
    """The environment of the checkout must not be older than its lock file.

    Raises:
        UserError: this process runs in that environment, and it is.
    """
    stamp = environment / ".ready"
    if environment.is_symlink() or not stamp.exists() or not environment.samefile(sys.prefix):
        return  # it is not the checkout's
    if stamp.stat().st_mtime < lock.stat().st_mtime:
        raise UserError(f"{lock.name} is newer than the packages that are installed: install them, then start again")


def _become(root: Path, *line: str) -> NoReturn:
    programs = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    own = {"PATH": programs, CHECKOUT: str(root), PACKAGES: pinned(root)}
    if (root / FILE).exists():  # its flows are imported from there
        own["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-m", "prefect", *line], {**DEFAULTS, **os.environ, **own})
