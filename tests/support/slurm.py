"""A real Slurm of one node, this one, for tests: on free ports of loopback, with a state and a key of its own.

Debian's packages bring the programs. They run as root alone: `slurmd` must become the user of a job.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.programs import free_port, installed, run_as, running

SBIN = "/usr/sbin"
CPUS, MEMORY_MB = 4, 4000


@dataclass(frozen=True)
class Slurm:
    """A cluster that runs."""

    folder: Path
    conf: Path
    node: str
    daemons: dict[str, ExitStack] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """What tells Slurm's commands which cluster is meant."""
        return {"SLURM_CONF": str(self.conf)}

    def ask(self, *line: str) -> str:
        """What one of Slurm's commands prints."""
        known = {**os.environ, **self.environment}
        return subprocess.run(line, env=known, capture_output=True, text=True, check=True).stdout.strip()

    def start(self, name: str) -> None:
        """Start `slurmctld` or `slurmd`."""
        up, end = (self._answers, signal.SIGTERM) if name == "slurmctld" else (self._idle, signal.SIGKILL)
        line = [installed(name, SBIN), "-D", "-f", str(self.conf)]
        stack = ExitStack()
        stack.enter_context(running(line, self.folder / f"{name}.out", up, end))
        self.daemons[name] = stack

    def end(self, name: str) -> None:
        """End `slurmctld`, which keeps its state, or kill `slurmd`, whose jobs go on."""
        self.daemons.pop(name).close()

    def _answers(self) -> bool:
        line = ["scontrol", "ping"]
        return (
            subprocess.run(line, env={**os.environ, **self.environment}, capture_output=True, check=False).returncode
            == 0
        )

    def _idle(self) -> bool:
        return self.ask("sinfo", "--noheader", "--format=%T").startswith(("idle", "mixed", "allocated"))


@contextmanager
def slurm(folder: Path, **settings: object) -> Iterator[Slurm]:
    """A cluster whose node has idle CPUs; `settings` are those of slurm.conf beside ours. Needs root, or is skipped."""
    installed("slurmctld", SBIN)
    if os.geteuid() != 0:
        pytest.skip("Slurm runs jobs of its users as root alone")
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="slurm-")))  # sockets want short paths
        place.chmod(0o755)
        stack.enter_context(_munge(place))
        found = Slurm(place, place / "slurm.conf", socket.gethostname().partition(".")[0])
        found.conf.write_text(
            "".join(f"{name}={value}\n" for name, value in {**_conf(found, place), **settings}.items())
        )
        for name in ("state", "spool"):
            (place / name).mkdir()
        try:
            for name in ("slurmctld", "slurmd"):
                found.start(name)
            yield found
        finally:
            for name in list(found.daemons):
                found.end(name)
            for name in ("slurmctld.out", "slurmd.out"):
                with suppress(FileNotFoundError):
                    shutil.copy(place / name, folder / name)


def _conf(found: Slurm, place: Path) -> dict[str, object]:
    return {
        "ClusterName": "test",
        "SlurmctldHost": f"{found.node}(127.0.0.1)",
        "SlurmUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={place / 'munge/socket'}",
        "CredType": "cred/munge",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core_Memory",
        "AccountingStorageType": "accounting_storage/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "SlurmctldPort": free_port(),
        "SlurmdPort": free_port(),
        "StateSaveLocation": place / "state",
        "SlurmdSpoolDir": place / "spool",
        "SlurmctldPidFile": place / "slurmctld.pid",
        "SlurmdPidFile": place / "slurmd.pid",
        "ReturnToService": 2,
        "SlurmdParameters": "config_overrides",  # the CPUs below may be more than this machine has
        "MpiDefault": "none",
        "SwitchType": "switch/none",
        "SchedulerParameters": "batch_sched_delay=0,sched_interval=1,sched_min_interval=0",
        "KillWait": 5,
        "MinJobAge": 60,
        "NodeName": f"{found.node} NodeAddr=127.0.0.1 CPUs={CPUS} RealMemory={MEMORY_MB} State=UNKNOWN",
        "PartitionName": "main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
    }


@contextmanager
def _munge(place: Path) -> Iterator[None]:
    """`munged` with a key of its own, as Debian's user for it."""
    user, where = pwd.getpwnam("munge"), place / "munge"
    where.mkdir(mode=0o755)
    (where / "key").write_bytes(os.urandom(1024))
    (where / "key").chmod(0o400)
    for path in (where, where / "key"):
        os.chown(path, user.pw_uid, user.pw_gid)
    names = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
    options = [f"--{option}={where / name}" for option, name in names.items()]
    line = [installed("munged", SBIN), "--foreground", "--force", *options]

    def up() -> bool:
        ask = ["munge", "--no-input", f"--socket={where / 'socket'}"]
        return subprocess.run(ask, capture_output=True, check=False, **run_as(user)).returncode == 0

    with running(line, place / "munged.out", up, user=user):
        yield
