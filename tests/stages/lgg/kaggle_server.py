"""A loopback stand-in for Kaggle's API and for the storage behind its signed links, with faults by script.

It speaks what the installed client calls, all POST: /v1/security.OAuthService/IntrospectToken, and of
/v1/datasets.DatasetApiService both GetDataset and DownloadDataset, which redirects to the storage: another host, where
GET does ranges.
The client follows the redirect by itself (a request without Range); the stage then asks again, with Range.
"""

import base64
import json
import sys
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "KGAT_51c8f0a4e2b94d0f9d2f4c6e8a1b3d57"
USER = "tester"
SIGNATURE = "9f86d081884c7d659a2feaa0c55ad015"
PAGE = f"<html>Sign in, {TOKEN}</html>".encode()


@dataclass(frozen=True)
class Answer:
    """A whole answer in place of the usual one."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True)
class Cut:
    """Send so many bytes of the body and drop the connection; with `hold`, not before the server ends."""

    after: int
    hold: bool = False


Fault = Answer | Cut | None  # None: the usual answer


@dataclass
class Kaggle:
    """The state of both servers; `api_faults` and `range_faults` are used up in the order of the requests."""

    body: bytes
    etag: str | None = '"first"'
    modified: str | None = "Mon, 13 May 2019 07:28:00 GMT"
    version: int = 2
    ranges: bool = True
    sized: bool = True
    api_faults: deque[Fault] = field(default_factory=deque)
    range_faults: deque[Fault] = field(default_factory=deque)
    api_url: str = ""
    storage_url: str = ""
    downloads: list[dict[str, Any]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)
    storage_authorizations: list[str | None] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    failures: list[BaseException | None] = field(default_factory=list)

    @property
    def link(self) -> str:
        return f"{self.storage_url}/archive.zip?X-Goog-Signature={SIGNATURE}"

    def knows(self, authorization: str | None) -> bool:
        basic = base64.b64encode(f"{USER}:{TOKEN}".encode()).decode()
        return authorization in {f"Bearer {TOKEN}", f"Basic {basic}"}


@contextmanager
def serving(kaggle: Kaggle) -> Iterator[Kaggle]:
    """Run both servers; the storage is `localhost` to the API's `127.0.0.1`."""
    servers = [_Server(kaggle, handler) for handler in (_Api, _Storage)]
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in servers]
    kaggle.api_url, kaggle.storage_url = (
        f"http://{host}:{server.server_port}" for host, server in zip(("127.0.0.1", "localhost"), servers, strict=True)
    )
    for thread in threads:
        thread.start()
    try:
        yield kaggle
    finally:
        kaggle.over.set()
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()
    assert not kaggle.failures


class _Server(ThreadingHTTPServer):
    def __init__(self, kaggle: Kaggle, handler: type["_Handler"]) -> None:
        self.kaggle = kaggle
        super().__init__(("127.0.0.1", 0), partial(handler, kaggle))

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A client that hangs up is no failure; anything else fails the test."""
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.kaggle.failures.append(error)


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, kaggle: Kaggle, *args: Any) -> None:
        self.kaggle = kaggle
        super().__init__(*args)

    def log_message(self, format: str, *args: object) -> None:
        """Keep the tests' output clean."""

    def answer(self, status: int, headers: dict[str, str], body: bytes, sent: int | None = None) -> None:
        """Send an answer that announces the whole `body` and carries `sent` bytes of it."""
        self.send_response(status, TOKEN)  # a server may say anything in its reason
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:sent])
        self.wfile.flush()


class _Api(_Handler):
    def do_GET(self) -> None:
        """A page, whatever is asked for."""
        self.answer(200, {"Content-Type": "text/html; charset=utf-8"}, PAGE)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        authorization = self.headers["Authorization"]
        if self.path.endswith("OAuthService/IntrospectToken"):
            active = request["token"] == TOKEN
            return self.json(200, {"active": active, "username": USER if active else ""})
        if self.path.endswith("DatasetApiService/GetDataset"):
            return self.shown(authorization)
        assert self.path == "/v1/datasets.DatasetApiService/DownloadDataset", self.path
        self.kaggle.downloads.append(request)
        self.kaggle.authorizations.append(authorization)
        fault = self.kaggle.api_faults.popleft() if self.kaggle.api_faults else None
        if isinstance(fault, Answer):
            return self.answer(fault.status, fault.headers, fault.body)
        if not self.kaggle.knows(authorization):
            return self.json(401, {"code": 401, "message": f"Unauthenticated: {authorization}"})
        if request["datasetVersionNumber"] != self.kaggle.version:
            return self.json(404, {"code": 404, "message": f"Not found: {TOKEN}"})
        return self.answer(302, {"Location": self.kaggle.link}, b"")

    def shown(self, authorization: str | None) -> None:
        """What the data set's page knows."""
        fault = self.kaggle.api_faults.popleft() if self.kaggle.api_faults else None
        if isinstance(fault, Answer):
            return self.answer(fault.status, fault.headers, fault.body)
        if not self.kaggle.knows(authorization):
            return self.json(401, {"code": 401, "message": f"Unauthenticated: {authorization}"})
        return self.json(200, {"ref": "owner/set", "currentVersionNumber": self.kaggle.version})

    def json(self, status: int, content: dict[str, Any]) -> None:
        self.answer(status, {"Content-Type": "application/json"}, json.dumps(content).encode())


class _Storage(_Handler):
    def do_GET(self) -> None:
        kaggle = self.kaggle
        kaggle.storage_authorizations.append(self.headers["Authorization"])
        assert SIGNATURE in self.path, self.path
        asked, fault = self.headers["Range"], None
        if asked is not None:
            assert self.headers["Accept-Encoding"] == "identity", "a range of a compressed body is none of the archive"
            kaggle.asked.append(asked)
            fault = kaggle.range_faults.popleft() if kaggle.range_faults else None
        if isinstance(fault, Answer):
            return self.answer(fault.status, fault.headers, fault.body)
        status, headers, body = self.object(asked)
        self.answer(status, headers, body, fault.after if fault else None)
        if fault and fault.hold:
            kaggle.over.wait(60)
        return None

    def object(self, asked: str | None) -> tuple[int, dict[str, str], bytes]:
        kaggle = self.kaggle
        headers = {"ETag": kaggle.etag or "", "Last-Modified": kaggle.modified or "", "Content-Type": "application/zip"}
        if not kaggle.sized:
            headers["Content-Length"] = ""
        if asked is None or not kaggle.ranges:
            return 200, headers, kaggle.body
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        headers["Content-Range"] = f"bytes {start}-{len(kaggle.body) - 1}/{len(kaggle.body)}"
        return 206, headers, kaggle.body[start:]
