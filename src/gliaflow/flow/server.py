"""A Prefect server for flows that have none: shared by all that run now on this machine, gone with the last of them.

Each flow holds a shared lock on a file beside Prefect's database; a keeper, this module run as a program, starts the
server and ends it once it can have that lock for itself. What the server says goes to a file, not to the console.
"""

import contextlib
import ctypes
import fcntl
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

STARTUP_SECONDS = 120
POLL_SECONDS = 0.1
ENDING_SECONDS = 10
PR_SET_PDEATHSIG = 1
FOREIGN = re.compile(
    r"((https?|all|no|ftp)_proxy|SSL_CERT_\w+|REQUESTS_CA_BUNDLE|PYTHON\w*|PREFECT_API_(URL|KEY|AUTH_STRING|SSL_CERT_FILE"
    r"|TLS_INSECURE_SKIP_VERIFY)|PREFECT_CLIENT_\w+)$",
    re.IGNORECASE,
)
EXCEPTION = re.compile(r"[\w.]+(Error|Exception): ")  # the last line of a traceback


@contextlib.contextmanager
def shared(home: Path, starts: Callable[[], None] = lambda: None) -> Iterator[str]:
    """The URL of the API of the server whose database lies in `home`, started if nobody has; `starts` is called then.

    Raises:
        TimeoutError: it did not come up; the message names its log.
    """
    folder = home / "gliaflow"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "users.lock").open("w") as users, (folder / "start.lock").open("w") as start:
        fcntl.flock(start, fcntl.LOCK_EX)  # one starts it; the others find it
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while a keeper ends the last one
        url = _running(folder)
        if not url:
            starts()
            url = _start(folder, home)
        fcntl.flock(start, fcntl.LOCK_UN)
        yield url


def _running(folder: Path) -> str | None:
    with contextlib.suppress(OSError, ValueError):
        url = str(json.loads((folder / "server.json").read_text())["url"])
        return url if _answers(url) else None
    return None


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with (
        contextlib.suppress(OSError, http.client.HTTPException),
        direct.open(f"{url}/health", timeout=5) as answer,
    ):
        return bool(answer.status == 200)
    return False


def _start(folder: Path, home: Path) -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}/api"
    log = folder / "server.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-I", __file__, str(folder), str(port)],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment(home) | {"PREFECT_UI_API_URL": url},
            start_new_session=True,
        )
    deadline = time.monotonic() + STARTUP_SECONDS
    while not _answers(url):
        if keeper.poll() is not None or time.monotonic() > deadline:
            why = last_error(log.read_text(errors="replace"))
            advice = f"see {log}, or name one with PREFECT_API_URL"
            raise TimeoutError(f"Prefect's server did not start{why}; {advice}")
        time.sleep(POLL_SECONDS)
    (folder / "server.json.partial").write_text(json.dumps({"url": url, "keeper": keeper.pid}))
    (folder / "server.json.partial").replace(folder / "server.json")
    keeper.returncode = 0  # it outlives this process if others still use the server
    return url


def environment(home: Path, given: Mapping[str, str] = os.environ) -> dict[str, str]:
    """That of a program of Prefect on this machine which asks nobody else: without what it would trip over.

    Proxies and certificates are for other machines, and Python's own variables may lead into somebody's repository.
    """
    kept = {name: value for name, value in given.items() if not FOREIGN.match(name)}
    return {**kept, "PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}


def last_error(text: str) -> str:
    """What a log's last traceback ends with, in brackets; nothing if it has none."""
    found = [line for line in text.splitlines() if EXCEPTION.match(line)]
    return f" ({found[-1]})" if found else ""


def keep(folder: Path, port: int) -> None:
    """Run the server until no flow holds the lock."""
    line = [sys.executable, "-I", "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def end_with_the_keeper() -> None:
        if libc:
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    users = (folder / "users.lock").open("w")
    with users, subprocess.Popen(line, preexec_fn=end_with_the_keeper) as server:
        while server.poll() is None:
            time.sleep(POLL_SECONDS)
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
        (folder / "server.json").unlink(missing_ok=True)
        server.terminate()
        try:
            server.wait(ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


if __name__ == "__main__":
    keep(Path(sys.argv[1]), int(sys.argv[2]))
