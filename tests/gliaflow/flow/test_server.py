import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from gliaflow.flow.server import last_error, shared
from tests.support.patience import PATIENCE
from tests.support.repos import ROOT, alive

USER = (
    "import sys\n"
    "from pathlib import Path\n"
    "from gliaflow.flow.server import shared\n"
    "with shared(Path(sys.argv[1])) as url:\n"
    "    print(url, flush=True)\n"
    "    sys.stdin.read()\n"
)


class User:
    """A process that uses the server until it is told to leave."""

    def __init__(self, home: Path) -> None:
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            [sys.executable, "-c", USER, str(home)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )

    def url(self) -> str:
        """What it got; waits until then."""
        assert self.process.stdout
        return self.process.stdout.readline().strip()

    def leave(self) -> tuple[str, str]:
        """End it, and what else it printed."""
        said = self.process.communicate()
        assert self.process.returncode == 0
        return said


@pytest.fixture
def new_user() -> Iterator[Callable[[Path], User]]:
    users: list[User] = []

    def make(home: Path) -> User:
        users.append(User(home))
        return users[-1]

    yield make
    for user in users:
        user.process.kill()
        user.process.communicate()


@pytest.fixture(scope="module")
def own_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home whose servers are this file's alone."""
    return tmp_path_factory.mktemp("home")


def keeper(home: Path) -> psutil.Process:
    return psutil.Process(json.loads((home / "gliaflow/server.json").read_text())["keeper"])


def gone(processes: list[psutil.Process]) -> bool:
    """Whether all end in time; a zombie has."""
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, processes)):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_two_flows_share_a_server_that_ends_with_the_last(own_home: Path, new_user: Callable[[Path], User]) -> None:
    users = [new_user(own_home), new_user(own_home)]
    urls = [user.url() for user in users]
    assert urls[0] == urls[1]
    assert urls[0].startswith("http://127.0.0.1:")
    family = [keeper(own_home), *keeper(own_home).children(recursive=True)]
    assert users[0].leave() == ("", "")
    time.sleep(1)
    assert healthy(urls[1])
    assert all(process.is_running() for process in family)
    assert users[1].leave() == ("", "")
    assert gone(family)
    assert not healthy(urls[0])
    assert (own_home / "prefect.db").exists()


def test_another_follows_quietly_and_ends_with_a_flow_that_is_killed(
    own_home: Path, new_user: Callable[[Path], User], capfd: pytest.CaptureFixture[str]
) -> None:
    with shared(own_home) as url:
        family = [keeper(own_home), *keeper(own_home).children(recursive=True)]
        user = new_user(own_home)
        assert user.url() == url
    assert capfd.readouterr() == ("", "")
    assert (own_home / "gliaflow/server.log").stat().st_size > 0
    time.sleep(1)
    assert healthy(url)
    user.process.send_signal(signal.SIGKILL)
    assert gone(family)


def test_a_server_that_does_not_start_is_reported_with_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(TimeoutError, match=str(tmp_path / "gliaflow/server.log")), shared(tmp_path):
        raise AssertionError("it did not start")


@contextmanager
def listening(handler: type[socketserver.BaseRequestHandler], home: Path) -> Iterator[str]:
    """Something else that listens on loopback, where the note in `home` says that the server does."""
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        url = f"http://127.0.0.1:{server.server_address[1]}/api"
        (home / "gliaflow").mkdir()
        (home / "gliaflow/server.json").write_text(json.dumps({"url": url, "keeper": 0}))
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield url
        finally:
            server.shutdown()
            thread.join()


class Healthy(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


class Rubbish(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"SSH-2.0-another-service\r\n")
        self.request.recv(4096)


def test_the_last_error_of_a_log_is_told() -> None:
    log = "Starting\nTraceback:\n  File x\nKeyError: 'a'\nalembic.CommandError: no revision\nbye\n"
    assert last_error(log) == " (alembic.CommandError: no revision)"
    assert last_error("Starting\nAll is well\n") == ""


def test_a_server_that_answers_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with listening(Healthy, tmp_path) as url, shared(tmp_path) as found:
        assert found == url


def test_a_proxy_is_not_asked_for_this_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)
    with listening(Healthy, tmp_path) as url, shared(tmp_path) as found:
        assert found == url


@pytest.mark.parametrize("note", ["", '{"url": "nonsense"}', '{"url": "http://127.0.0.1:9/api"}'])
def test_a_note_of_a_server_that_is_gone_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note: str
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (tmp_path / "gliaflow").mkdir()
    (tmp_path / "gliaflow/server.json").write_text(note)
    with pytest.raises(TimeoutError), shared(tmp_path):
        raise AssertionError("it did not start")


def test_another_service_on_the_port_is_not_taken_for_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with listening(Rubbish, tmp_path), pytest.raises(TimeoutError), shared(tmp_path):
        raise AssertionError("it did not start")
