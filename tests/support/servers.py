"""Real servers for tests, on free ports of loopback: S3, SSH, PostgreSQL, and a proxy that refuses.

Each is a context manager that writes its log and its keys into a folder, and ends what it started by its pid. A program
that is missing fails the test: a suite that skips what it cannot start proves nothing.
"""

import http.client
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

HOST = "127.0.0.1"
STARTUP_SECONDS = 60
ENDING_SECONDS = 10
POLL_SECONDS = 0.05
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


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


class Refusing(ThreadingHTTPServer):
    """A proxy to `target` that answers 503 to every so manieth request."""

    daemon_threads = True

    def __init__(self, target: str, every: int) -> None:
        super().__init__((HOST, 0), _Passing)
        self.target, self.every = urlsplit(target).netloc, every
        self.seen = count(1)
        self.refused = 0

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://{HOST}:{self.server_port}"


@contextmanager
def s3(folder: Path, bucket: str = "team") -> Iterator[S3]:
    """moto's S3 with a bucket in it; what it holds is gone with it."""
    port = _free_port()
    found = S3(f"http://{HOST}:{port}", bucket)
    create = urllib.request.Request(f"{found.endpoint}/{bucket}", method="PUT")
    line = [sys.executable, "-m", "moto.server", "--host", HOST, "--port", str(port)]
    with _running(line, folder / "s3.log", lambda: _answers(create)):
        yield found


@contextmanager
def ssh(folder: Path) -> Iterator[SSH]:
    """OpenSSH's server, run as this user for this user alone, with SFTP."""
    sshd, port = _program("sshd", "/usr/sbin"), _free_port()
    for name in ("host", "user"):
        line = [_program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(folder / name)]
        subprocess.run(line, check=True)
    settings = {
        "Port": port,
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
    with _running([sshd, "-D", "-e", "-f", str(config)], folder / "sshd.log", lambda: _listens(port)):
        yield SSH(HOST, port, pwd.getpwuid(os.geteuid()).pw_name, folder / "user")


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL with nothing in it; its URL as Prefect takes it. As root it runs as the user postgres."""
    port, binaries = _free_port(), [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"))]
    initdb, ready, server = (_program(name, *binaries) for name in ("initdb", "pg_isready", "postgres"))
    user = pwd.getpwnam("postgres") if os.geteuid() == 0 else None  # it refuses to run as root
    with tempfile.TemporaryDirectory(prefix="postgres-") as data:  # not in `folder`: pytest's are closed to other users
        if user:
            os.chown(data, user.pw_uid, user.pw_gid)
        made = [
            initdb,
            "--pgdata",
            data,
            "--username",
            "postgres",
            "--auth",
            "trust",
            "--no-sync",
            "--encoding",
            "UTF8",
        ]
        with (folder / "initdb.log").open("wb") as log:
            subprocess.run(made, stdout=log, stderr=log, check=True, cwd="/", **_as(user))
        line = [server, "-D", data, "-p", str(port), "-h", HOST, "-k", "", "-F"]  # -F: a test needs no fsync
        ask = [ready, "--quiet", "--host", HOST, "--port", str(port)]

        def up() -> bool:
            return subprocess.run(ask, check=False).returncode == 0

        with _running(line, folder / "postgres.log", up, signal.SIGINT, user):  # SIGTERM would wait for clients
            yield f"postgresql+asyncpg://postgres@{HOST}:{port}/postgres"


@contextmanager
def refusing(target: str, every: int = 3) -> Iterator[Refusing]:
    """A proxy to `target` that answers 503 to every third request and passes on the rest."""
    with Refusing(target, every) as server:
        thread = threading.Thread(target=server.serve_forever, args=(POLL_SECONDS,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class _Passing(BaseHTTPRequestHandler):
    """Passes a request on as it came, the Host of it included."""

    protocol_version = "HTTP/1.1"
    server: Refusing

    def do(self) -> None:
        """Answer one request of any method."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if next(self.server.seen) % self.server.every == 0:
            self.server.refused += 1
            self._answer(503, "Service Unavailable", [("Content-Length", "0")], b"")
            return
        there = http.client.HTTPConnection(self.server.target)
        try:
            there.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                there.putheader(name, value)
            there.endheaders(body)
            answer = there.getresponse()
            content = answer.read()
            kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP]
            if answer.getheader("Content-Length") is None:
                kept.append(("Content-Length", str(len(content))))
            self._answer(answer.status, answer.reason, kept, content)
        finally:
            there.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do  # noqa: N815

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def _answer(self, status: int, reason: str, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response_only(status, reason)
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def _running(
    line: list[str],
    log: Path,
    up: Callable[[], bool],
    end: signal.Signals = signal.SIGTERM,
    user: pwd.struct_passwd | None = None,
) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(
            line, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/", start_new_session=True, **_as(user)
        )
    try:
        deadline = time.monotonic() + STARTUP_SECONDS
        while not up():
            if process.poll() is not None or time.monotonic() > deadline:
                last = log.read_text(errors="replace").strip().splitlines()[-1:]
                pytest.fail(f"{Path(line[0]).name} did not start; {log} ends with: {''.join(last)}", pytrace=False)
            time.sleep(POLL_SECONDS)
        yield
    finally:
        with suppress(psutil.NoSuchProcess):
            _end(psutil.Process(process.pid), end)
        process.wait()


def _end(process: psutil.Process, how: signal.Signals) -> None:
    """End a server, and what it has started for its clients."""
    started = process.children(recursive=True)
    process.send_signal(how)
    for child in psutil.wait_procs([process], ENDING_SECONDS)[1] + started:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _program(name: str, *folders: str) -> str:
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *reversed(folders)]))
    if found is None:
        pytest.fail(f"{name} is missing: `make servers` installs what the tests start", pytrace=False)
    return found


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _answers(request: urllib.request.Request) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with suppress(OSError, http.client.HTTPException), direct.open(request, timeout=5) as answer:
        return bool(answer.status == 200)
    return False
