"""What a client makes of whatever may answer, and of whatever the environment says."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from gliaflow.export import client as module
from gliaflow.export.client import Client, Unreachable
from gliaflow.export.configured import Server
from tests.support.web import Answer, web


def refused(server: Server) -> str:
    """Why a request fails."""
    with pytest.raises(Unreachable) as caught, Client(server, {}) as client:
        client.post("/flows/", {})
    return str(caught.value)


def test_what_is_asked_and_answered() -> None:
    with (
        web(lambda *_: Answer({"id": 1})) as server,
        Client(Server(f"{server.url}/api", headers={"Authorization": "Basic x"}), {}) as client,
    ):
        assert client.post("/flows/", {"name": "repro"}) == {"id": 1}
        assert client.get("/health") == {"id": 1}
    assert server.asked == [("POST", "/api/flows/", {"name": "repro"}), ("GET", "/api/health", None)]
    assert server.headers[0]["authorization"] == "Basic x"


@pytest.mark.parametrize(
    ("answer", "why", "doubtful"),
    [
        (Answer({}, 401), "answers 401 and wants a password: set PREFECT_API_AUTH_STRING", False),
        (Answer({}, 403), "answers 403 and wants a password", False),
        (Answer({}, 404), "answers 404", False),
        (Answer({}, 301), "answers 301", False),
        (Answer({}, 500), "answers 500", True),
        (Answer("<html>welcome</html>"), "answers what Prefect's server does not; is it one?", False),
        (Answer(hang=True), "does not answer", True),
    ],
)
def test_answers_that_help_nobody(monkeypatch: pytest.MonkeyPatch, answer: Answer, why: str, doubtful: bool) -> None:
    monkeypatch.setattr(module, "REQUEST_SECONDS", 0.3)
    with web(lambda *_: answer) as server:
        named = Server(server.url, "PREFECT_API_URL in the environment")
        with pytest.raises(Unreachable) as caught, Client(named, {}) as client:
            client.post("/flows/", {})
    assert str(caught.value).startswith(f"{server.url} (PREFECT_API_URL in the environment) {why}")
    assert caught.value.doubtful == doubtful


def test_an_answer_of_nothing() -> None:
    with web(lambda *_: Answer("", 204)) as server, Client(Server(server.url), {}) as client:
        assert client.post("/events", []) is None


def test_nobody_is_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert refused(Server(f"http://127.0.0.1:{port}/api")).startswith(f"nobody answers at http://127.0.0.1:{port}/api")


def test_a_server_that_breaks_off() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"

        def cut() -> None:
            listening.accept()[0].close()

        threading.Thread(target=cut, daemon=True).start()
        assert refused(Server(url)).startswith(f"{url} broke off")


def test_an_address_that_is_none() -> None:
    with pytest.raises(Unreachable, match="'localhost:4200' is no address of a server"):
        Client(Server("localhost:4200"), {})


def test_certificates_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="PREFECT_API_SSL_CERT_FILE is '/gone', which is not there"):
        Client(Server("https://host/api", certificates="/gone"), {})
    with Client(Server("https://host/api"), {"SSL_CERT_FILE": str(tmp_path / "gone")}):
        """OpenSSL does without, too."""


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_asked_for_other_machines_and_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for one in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(one, raising=False)

    def answer(_: str, path: str, data: Any) -> Answer:
        assert data == {}
        return Answer({"by": path})

    with web(answer) as proxy:
        monkeypatch.setenv(name, proxy.url.replace("//", "//ann:secret@"))
        with Client(Server("http://prefect.invalid/api"), {}) as client:
            assert client.post("/flows/", {}) == {"by": "http://prefect.invalid/api/flows/"}
        with web(lambda *_: Answer({"by": "itself"})) as server, Client(Server(server.url), {}) as client:
            assert client.post("/flows/", {}) == {"by": "itself"}
    why = refused(Server("http://prefect.invalid/api"))
    assert f"by the proxy {proxy.url}" in why
    assert "secret" not in why
    monkeypatch.setenv("NO_PROXY", "prefect.invalid")
    assert "proxy" not in refused(Server("http://prefect.invalid/api"))


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://x", "http://[::1"])
def test_a_proxy_that_nobody_can_use_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    monkeypatch.delenv("http_proxy", raising=False)
    assert proxy in refused(Server("http://prefect.invalid/api"))
    monkeypatch.setenv("NO_PROXY", "[::1]")
    with web(lambda *_: Answer({})) as server, Client(Server(server.url), {}) as client:
        assert client.post("/flows/", {}) == {}


def test_a_server_that_guards_against_other_pages() -> None:
    def answer(_: str, path: str, data: Any) -> Answer:
        if path.startswith("/csrf-token?client="):
            return Answer({"token": "t"})
        guarded = "prefect-csrf-token" not in server.headers[-1]
        return Answer({"detail": "Missing CSRF token"}, 403) if guarded else Answer(data)

    with web(answer) as server, Client(Server(server.url), {}) as client:
        assert client.post("/flows/", {"a": 1}) == {"a": 1}
        assert client.post("/flows/", {"a": 2}) == {"a": 2}
    asked = [path.partition("?")[0] for _, path, _ in server.asked]
    assert asked == ["/flows/", "/csrf-token", "/flows/", "/flows/"]
