"""A team on loopback: a Prefect server on PostgreSQL, a git remote, and hosts that share nothing but these."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import psutil
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterName
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import GLIAFLOW, Project, environment, soon

IDENTITY = ("GIT_AUTHOR", "GIT_COMMITTER")  # which a host has none of
LEASE_SECONDS = 6  # short: a test waits for it
S3_KEYS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
GPUS = "#!/bin/sh\ncase $* in *query*) printf '0, GPU-a\\n1, GPU-b\\n';; *) printf 'GPU 0: x (UUID: GPU-a)\\n';; esac\n"


class Server:
    """A Prefect server that can be killed and started again where it was."""

    def __init__(self, folder: Path, database: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self._port = probe.getsockname()[1]
        self.url, self._folder = f"http://127.0.0.1:{self._port}/api", folder
        self._environment = environment(folder / "home", self.url) | {
            "PREFECT_API_DATABASE_CONNECTION_URL": database,
            "PREFECT_UI_API_URL": self.url,
            "PREFECT_SERVER_SERVICES_SCHEDULER_RECENT_DEPLOYMENTS_LOOP_SECONDS": "1",
        }

    def start(self) -> None:
        """Start it, and wait until it answers."""
        line = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(self._port)]
        with (self._folder / "server.log").open("ab") as log:
            self.process = psutil.Popen(line, env=self._environment, stdout=log, stderr=log, cwd=self._folder)
        assert soon(self.answers), (self._folder / "server.log").read_text()[-2000:]

    def answers(self) -> bool:
        """Whether it does."""
        with suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == 200
        return False

    def kill(self) -> None:
        """SIGKILL all of it."""
        kill_tree(self.process)


@dataclass
class Host:
    """A machine of the team: its own workspaces, Prefect home, slots and GPUs, and a worker of one pool."""

    name: str
    pool: str
    folder: Path
    checkout: Path
    api: str
    extra: dict[str, str] = field(default_factory=dict)
    worker: Any = None

    def start(self) -> "Host":
        """Start its worker."""
        programs = self.folder / "bin"
        programs.mkdir(parents=True, exist_ok=True)
        (programs / "nvidia-smi").write_text(GPUS)
        (programs / "nvidia-smi").chmod(0o755)
        variables = environment(self.folder / "home", self.api)
        variables |= {
            "PATH": os.pathsep.join([str(programs), variables["PATH"]]),
            "GLIAFLOW_WORKSPACES": str(self.folder / "workspaces"),
            "GLIAFLOW_LEASE_SECONDS": str(LEASE_SECONDS),
            "PREFECT_WORKER_QUERY_SECONDS": "0.5",
            **S3_KEYS,
            "PREFECT_WORKER_HEARTBEAT_SECONDS": "5",
            **self.extra,
        }
        nobody = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.useConfigOnly", "GIT_CONFIG_VALUE_0": "true"}
        variables = {name: value for name, value in variables.items() if not name.startswith(IDENTITY)} | nobody
        variables.pop("PYTHONPATH", None)
        line = [*GLIAFLOW, "worker", self.pool]
        with (self.folder / "worker.log").open("ab") as log:
            self.worker = psutil.Popen(line, cwd=self.checkout, env=variables, stdout=log, stderr=log)
        return self

    def kill(self) -> None:
        """SIGKILL all that runs there, as if the power was cut."""
        kill_tree(self.worker)

    def kill_worker(self) -> None:
        """SIGKILL the worker alone; what it started goes on."""
        with suppress(psutil.NoSuchProcess):
            self.worker.kill()
        self.worker.wait()

    def log(self) -> str:
        """What its worker said."""
        return (self.folder / "worker.log").read_text(errors="replace")


def kill_tree(process: psutil.Popen) -> None:
    """SIGKILL a process and all below it; one that they start meanwhile too."""
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        with suppress(psutil.NoSuchProcess):
            for one in [*process.children(recursive=True), process]:
                with suppress(psutil.NoSuchProcess):
                    one.send_signal(signal.SIGKILL)
        with suppress(psutil.TimeoutExpired, subprocess.TimeoutExpired):
            process.wait(1)
    process.wait()


@dataclass
class Team:
    """All of it."""

    folder: Path
    checkout: Path  # which all hosts have
    server: Server
    origin: Path
    hosts: dict[str, Host] = field(default_factory=dict)

    def join(self, name: str, pool: str = "gpu", **extra: str) -> Host:
        """A host, with a worker that serves the pool."""
        self.hosts[name] = Host(name, pool, self.folder / name, self.checkout, self.server.url, extra).start()
        return self.hosts[name]

    def set_up(self, *arguments: str) -> str:
        """What `gliaflow` prints of its work on the server, from the checkout."""
        line, variables = [*GLIAFLOW, *arguments], environment(self.folder / "home", self.server.url)
        ended = subprocess.run(
            line, cwd=self.checkout, env=variables, check=False, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        assert not ended.returncode, ended.stderr
        return ended.stdout

    def project(self, root: Path, origin: Path | None = None) -> Project:
        """A repository whose commits and outputs the hosts can have."""
        made = Project(root, self.member(root.parent / f"{root.name}-home"))
        origin = origin or root.parent / f"{root.name}.git"
        made.run("git", "init", "--quiet", "--bare", str(origin))
        made.run("git", "remote", "add", "origin", str(origin))
        made.dvc("remote", "add", "--default", "store", str(root.parent / f"{root.name}-store"))
        made.commit()
        return made

    def member(self, home: Path) -> dict[str, str]:
        """The environment of somebody at a laptop."""
        return environment(home, self.server.url) | {"GLIAFLOW_LEASE_SECONDS": str(LEASE_SECONDS), **S3_KEYS}

    @contextmanager
    def client(self) -> Iterator[SyncPrefectClient]:
        """Of the server."""
        with (
            temporary_settings({PREFECT_API_URL: self.server.url, PREFECT_HOME: self.folder / "home"}),
            get_client(sync_client=True) as made,
        ):
            yield made

    def runs(self, name: str) -> list[FlowRun]:
        """The runs of that name, the oldest first."""
        with self.client() as client:
            only = FlowRunFilter(name=FlowRunFilterName(any_=[name]))
            return client.read_flow_runs(flow_run_filter=only, sort=FlowRunSort.START_TIME_ASC)


@contextmanager
def team(folder: Path, database: str, checkout: Path | None = None) -> Iterator[Team]:
    """A team whose server has the pools cpu and gpu, and no hosts yet; theirs is an empty checkout by default."""
    server, origin = Server(folder, database), folder / "pipeline.git"
    if checkout is None:
        checkout = folder / "checkout"
        subprocess.run(["git", "init", "--quiet", str(checkout)], check=True)
    made = Team(folder, checkout, server, origin)
    try:
        server.start()
        for pool in ("cpu", "gpu"):
            assert made.set_up("pool", pool) == f"made pool {pool}\ndeployed stage/{pool}\n"
        yield made
    finally:
        for host in made.hosts.values():
            host.kill()
        server.kill()


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}-{uuid4().hex[:6]}"
