"""A web server on loopback that answers as a test wants, and what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FLOW_RUN = "00000000-0000-0000-0000-00000000000f"


@dataclass(frozen=True)
class Answer:
    """What the server says to a request."""

    body: Any = None
    """As JSON; text as it is."""
    code: int = 200
    after: float = 0.0
    """Seconds until it says so."""
    hang: bool = False
    """Whether it says nothing at all, as long as the server lives."""


@dataclass
class Web:
    """The server, and all that it was asked: method, path and data from JSON; and the headers, by lower names."""

    url: str = ""
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    answering: int = 0
    """How many requests it has begun to answer."""
    turn: threading.Condition = field(default_factory=threading.Condition)

    def begins(self) -> bool:
        """Whether it still answers: a server that is over does not."""
        with self.turn:
            self.answering += not self.over.is_set()
            return not self.over.is_set()

    def ended(self) -> None:
        with self.turn:
            self.answering -= 1
            self.turn.notify_all()

    def end(self) -> None:
        """Return when nothing is answered any more: who asked may have gone, and an answer changes what a test sees."""
        with self.turn:
            self.over.set()
            self.turn.wait_for(lambda: self.answering == 0)


@contextmanager
def web(answer: Callable[[str, str, Any], Answer]) -> Iterator[Web]:
    """Serve; `answer` gets method, path and data of each request."""
    found = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer_one(self) -> None:
            if found.begins():
                try:
                    self.answer_it()
                finally:
                    found.ended()

        def answer_it(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            data = json.loads(sent) if sent else None
            found.asked.append((self.command, self.path, data))
            found.headers.append({name.lower(): value for name, value in self.headers.items()})
            given = answer(self.command, self.path, data)
            if given.hang:
                found.over.wait()
                return
            found.over.wait(given.after)
            text = given.body if isinstance(given.body, str) else json.dumps(given.body)
            self.send_response(given.code)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    for method in ("GET", "POST"):
        setattr(Handler, f"do_{method}", Handler.answer_one)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield found
        finally:
            server.shutdown()
            thread.join()
            found.end()


class FakePrefect:
    """Answers as Prefect's server does to who tells it of runs, and remembers it."""

    def __init__(self) -> None:
        self.state = ""
        self.states: list[str] = []
        self.events: dict[str, Any] = {}
        self.logs: list[Any] = []
        self.artifacts: list[Any] = []
        self.fails = -1
        """The number of the request that it answers with 500."""
        self.anyway = False
        """Whether it does what that request asks all the same."""
        self._asked = 0

    def answer(self, method: str, path: str, data: Any) -> Answer:
        """Of which request it is."""
        self._asked += 1
        if self._asked - 1 == self.fails:
            if self.anyway:
                self._done(method, path, data)
            return Answer({}, 500)
        return self._done(method, path, data)

    def _done(self, method: str, path: str, data: Any) -> Answer:
        if method == "GET":
            return Answer({"state_type": self.state})
        if path.endswith(("/flows/", "/flow_runs/")):
            return Answer({"id": FLOW_RUN}, 201)
        if path.endswith("/count"):
            return Answer(len(self.states))
        if path.endswith("/logs/filter"):
            times = data["logs"]["timestamp"]
            return Answer([one for one in self.logs if times["after_"] <= one["timestamp"] <= times["before_"]])
        if path.endswith("/artifacts/filter"):
            return Answer([one for one in self.artifacts if one["key"] in data["artifacts"]["key"]["any_"]])
        if path.endswith("/set_state"):
            self.state = data["state"]["type"]
            self.states.append(self.state)
            return Answer({"status": "ACCEPT"}, 201)
        if path.endswith("/events"):
            self.events |= {one["id"]: one for one in data}
            return Answer("", 204)
        if path.endswith("/logs/"):
            self.logs += data
        elif path.endswith("/artifacts/"):
            self.artifacts.append(data)
        return Answer({}, 201)
