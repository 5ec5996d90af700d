"""The program that tells Prefect of a run while it goes on.

It is a process of its own: what the server does, or does not do, costs the run nothing. The run holds its standard
input open; at the end of that file the run has ended, or was killed. The program then has a few seconds to tell the
rest. What it leaves is in the journal, for the next one. What the run is to hear goes to standard output, as JSON.
"""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gliaflow.export.client import Client, Unreachable
from gliaflow.export.configured import Server
from gliaflow.export.exporter import Busy, Exporter
from gliaflow.export.keeping import LAST_SECONDS
from gliaflow.journal.folder import journals
from gliaflow.machine.supervisor import readable

LEAVE_SECONDS = 0.5  # of those that the run waits, for the program to end by itself
LOOK_SECONDS = 0.25  # between two looks into the journal
CANCEL_SECONDS = 2.0  # between two looks at whether the run is to be cancelled
LAST_TRIES = 1  # once the run has ended
LATER_SECONDS = 5.0  # before a server that failed is asked again


class Companion:
    """The program: follows one journal until the run has ended, and sends what earlier runs have left."""

    def __init__(self, work: dict[str, Any], stdin: int) -> None:
        self._server, self._key, self._journal = Server(**work["server"]), str(work["key"]), Path(work["journal"])
        self._stdin, self._deadline = stdin, 0.0
        self._told, self._last_tries = "", LAST_TRIES

    def run(self) -> int:
        """Follow; 0 if the server knows all of the run."""
        while not self._over() and not self._journal.exists():
            time.sleep(LOOK_SECONDS / 10)
        if not self._journal.exists():
            _say({"done": True})  # nothing had to be kept
            return 0
        try:
            with Client(self._server) as client:
                return self._served(client)
        except Unreachable as error:  # as things are set it can never be reached
            _say({"wrong": str(error)})
            return 1

    def _served(self, client: Client) -> int:
        try:
            with Exporter(client, self._journal, self._key) as exporter:
                done = self._follow(exporter)
        except Busy:
            _say({"wrong": "`gliaflow ui` sends its journal to another server just now"})
            return 1
        if done:
            _say({"done": True})
            self._earlier(client)
        return 0 if done else 1

    def _follow(self, exporter: Exporter) -> bool:
        looked = 0.0
        while not exporter.done:
            over = self._over()
            try:
                exporter.advance(over)
                if not exporter.done and time.monotonic() - looked > CANCEL_SECONDS:
                    looked = time.monotonic()
                    if exporter.cancelled():
                        _say({"cancel": True})
            except Unreachable as error:
                if not self._wait(str(error)):
                    return False
                continue
            if not exporter.done and not over:
                readable([self._stdin], LOOK_SECONDS)
        return True

    def _earlier(self, client: Client) -> None:
        """Send what earlier runs of this repository have for this server, as long as there is time."""
        for path in journals(self._journal.parent):
            if self._deadline and time.monotonic() > self._deadline:
                return
            with suppress(Busy, OSError, Unreachable), Exporter(client, path, self._key) as exporter:
                if exporter.meant():
                    exporter.advance()

    def _wait(self, why: str) -> bool:
        """Wait before the server is asked again, which is done once more when the run has ended, and then no more."""
        if why != self._told:
            self._told = why
            _say({"wrong": why})
        until = time.monotonic() + LATER_SECONDS
        while not self._over() and time.monotonic() < until:
            readable([self._stdin], LOOK_SECONDS)
        if not self._over():
            return True
        self._last_tries -= 1
        time.sleep(LOOK_SECONDS)
        return self._last_tries >= 0 and time.monotonic() < self._deadline

    def _over(self) -> bool:
        """Whether the run has ended, in whatever way."""
        if not self._deadline and readable([self._stdin], 0) and not os.read(self._stdin, 1 << 16):
            self._deadline = time.monotonic() + LAST_SECONDS - LEAVE_SECONDS
        return bool(self._deadline)


def _say(what: dict[str, object]) -> None:
    with suppress(OSError):  # the run was killed
        print(json.dumps(what), flush=True)


def main() -> None:
    """Serve the run at the other end of standard input."""
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            sys.exit(1)
        line += byte
    sys.exit(Companion(json.loads(line), 0).run())
