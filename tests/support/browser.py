"""Chromium without a screen, driven by its own protocol: what a page asks for, and what it looks like."""

import base64
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect
from websockets.sync.connection import Connection

from tests.support.patience import PATIENCE
from tests.support.programs import installed

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--remote-debugging-port=0",
)
MOST_BYTES = 1 << 28  # of a message: a picture of a long page is one


class Tab:
    """A page in a browser."""

    def __init__(self, socket: Connection) -> None:
        self._socket, self._number = socket, 0
        self.events: list[dict[str, Any]] = []
        for domain in ("Page", "Network", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> Any:
        """Call a method of the protocol; what it answers."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            heard = json.loads(self._socket.recv(timeout=PATIENCE))
            if heard.get("id") == self._number:
                assert "error" not in heard, heard["error"]
                return heard["result"]
            self.events.append(heard)

    def show(self, url: str, width: int, height: int = 900, dark: bool = False) -> None:
        """Load an address into a window of this size; a narrow one is that of a telephone."""
        phone = width < 600
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=phone)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.events.clear()
        self.call("Page.navigate", url=url)
        deadline = time.monotonic() + PATIENCE
        while not any(one.get("method") == "Page.loadEventFired" for one in self.events):
            assert time.monotonic() < deadline
            self.evaluate("0")

    def evaluate(self, expression: str) -> Any:
        """The value of an expression of JavaScript on the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    @property
    def requests(self) -> list[str]:
        """The addresses that the page asked for, but for what it holds itself."""
        sent = [one["params"] for one in self.events if one.get("method") == "Network.requestWillBeSent"]
        return [url for one in sent if not (url := one["request"]["url"]).startswith("data:")]

    @property
    def complaints(self) -> list[str]:
        """What the browser wrote to its console."""
        logged = [one["params"]["entry"]["text"] for one in self.events if one.get("method") == "Log.entryAdded"]
        return logged + [str(one["params"]) for one in self.events if one.get("method") == "Runtime.exceptionThrown"]

    def picture(self, path: Path) -> None:
        """Write what the whole page looks like as a PNG."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))

    def printed(self, path: Path) -> None:
        """Write the page as it is on paper, as a PDF."""
        found = self.call("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.69)
        path.write_bytes(base64.b64decode(found["data"]))


@contextmanager
def browser() -> Iterator[Tab]:
    """A tab of a browser of its own, which ends with the block. Without Chromium the test is skipped."""
    path = installed("chromium")
    with tempfile.TemporaryDirectory(prefix="browser-", ignore_cleanup_errors=True) as folder:
        line = [path, *QUIET, f"--user-data-dir={folder}/profile", "about:blank"]
        quiet = {**os.environ, "HOME": folder}
        with subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=quiet) as process:
            try:
                address = _address(Path(folder, "profile/DevToolsActivePort"))
                with connect(_page(address), max_size=MOST_BYTES) as socket:
                    yield Tab(socket)
            finally:
                process.terminate()
                process.wait()


def _address(told: Path) -> str:
    """Where the browser listens, once it has written that down."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        lines = told.read_text().split() if told.exists() else []
        if len(lines) > 1:
            return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
        time.sleep(0.05)
    raise TimeoutError(told)


def _page(address: str) -> str:
    """Where the first page listens, of the browser that listens at `address`."""
    with connect(address) as socket:
        socket.send(json.dumps({"id": 0, "method": "Target.getTargets"}))
        targets = json.loads(socket.recv(timeout=PATIENCE))["result"]["targetInfos"]
    page = next(one["targetId"] for one in targets if one["type"] == "page")
    return f"{address.partition('/devtools/')[0]}/devtools/page/{page}"
