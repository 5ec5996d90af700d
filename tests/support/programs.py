"""Starting a server as a program of its own, and ending it by its process id."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.patience import PATIENCE

HOST = "127.0.0.1"
ENDING_SECONDS = 10
POLL_SECONDS = 0.05


@contextmanager
def running(
    line: list[str],
    log: Path,
    up: Callable[[], bool],
    end: signal.Signals = signal.SIGTERM,
    user: pwd.struct_passwd | None = None,
) -> Iterator[None]:
    """Run a server for as long as the block, from the moment that `up` holds.

    Args:
        line: The program and its arguments.
        log: The file for what the program prints.
        up: Whether the server answers; asked until it does.
        end: The signal that ends the server.
        user: Who runs the program; without it, who runs the test.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            start_new_session=True,
            **run_as(user),
        )
    try:
        deadline = time.monotonic() + PATIENCE
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


def run_as(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """The arguments with which `subprocess` runs a program as this user; none without a user."""
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def installed(name: str, *folders: str) -> str:
    """The path of a program that only a distribution has, looked for on the PATH and in these folders.

    Without the program the test is skipped, and where the environment has `CI=true` it fails.
    """
    found = shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), *folders]))
    if found is None:
        line = f"{name} is missing: `make servers` installs it"
        if os.environ.get("CI") == "true":
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    return found


def free_port() -> int:
    """A port of loopback on which nothing listens."""
    with socket.create_server((HOST, 0)) as probe:
        return int(probe.getsockname()[1])


def listens(port: int) -> bool:
    """Whether something listens on that port of loopback."""
    with suppress(OSError), socket.create_connection((HOST, port), timeout=1):
        return True
    return False


def _end(process: psutil.Process, how: signal.Signals) -> None:
    """End a server, and what it has started for its clients."""
    started = process.children(recursive=True)
    process.send_signal(how)
    for child in psutil.wait_procs([process], ENDING_SECONDS)[1] + started:
        with suppress(psutil.NoSuchProcess):
            child.kill()
