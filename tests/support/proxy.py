"""A proxy on loopback that refuses some of the requests, as an overloaded service does."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from urllib.parse import urlsplit

from tests.support.programs import HOST, POLL_SECONDS

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Refusing(ThreadingHTTPServer):
    """A proxy to `target` that answers 503 to one of `every` requests, and counts these as `refused`."""

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
