"""Run a stage's commands: their lines as they come, a time limit, and the end of the whole tree."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from gliaflow.machine.supervisor import readable

LOOK_SECONDS = 0.2  # at most between two looks at the clock
DRAIN_SECONDS = 2.0  # how long the output of a stage that has ended may stay open
CANNOT_RUN = 127  # a shell's exit code for a command that is not there
LOST = -signal.SIGKILL  # the exit code of a process whose warden was killed
LONGEST_LINE = 1 << 16  # bytes; a longer one is cut into several


@dataclass(frozen=True)
class Exit:
    """How a stage's commands ended."""

    code: int  # exit code of the last one that ran; −N where signal N ended it
    command: str
    timed_out: bool
    left: int  # processes that it left running, ended by now

    @property
    def exit_code(self) -> int:
        """As a shell counts: 128 + N where signal N ended it."""
        return self.code if self.code >= 0 else 128 - self.code


class Process:
    """One stage's commands under a warden of their own; nothing runs before `run`."""

    def __init__(self, link: socket.socket, output: int) -> None:
        self._link, self._output = link, output
        self._heard = b""
        self._begun: Sequence[str] = [""]
        self._over = False  # all commands have ended, if not what they left running
        self._code: int | None = None
        self._left = 0
        self._stopping = threading.Event()
        self.pid = 0  # the warden's: alive as long as anything of the stage is

    def run(self, on_line: Callable[[str, bool], None], timeout: float | None = None) -> Exit:
        """Run the commands one after another; the first that fails is the last.

        `on_line` gets each line, and with False what stands so far on one that is not finished: a progress bar.
        """
        deadline = time.monotonic() + timeout if timeout else None
        text, timed_out, closed, drained = Lines(on_line), False, False, 0.0
        self._say(go=True)
        while self._code is None or not closed:
            wait = LOOK_SECONDS
            if deadline is not None:
                wait = min(LOOK_SECONDS, max(deadline - time.monotonic(), 0.0))
            sources: list[int | socket.socket] = [] if closed else [self._output]
            sources += [self._link] if self._code is None else []
            ready = readable(sources, wait)
            if self._output in ready:
                data = os.read(self._output, 1 << 16)
                closed = not data
                text.feed(data)
            if self._link in ready:
                self._hear()
            if self._over or self._code is not None:
                deadline = None  # it ended in time
            if self._code is not None and time.monotonic() > (drained := drained or time.monotonic() + DRAIN_SECONDS):
                break  # somebody else holds the pipe
            if deadline is not None and time.monotonic() >= deadline:
                timed_out, deadline = True, None
                self.stop(signal.SIGTERM)
        text.feed(b"", last=True)
        self.close()
        return Exit(self._code, self._begun[-1], timed_out, self._left)

    def stop(self, number: int) -> None:
        """Signal every process of the stage, and kill what is left after the grace; returns at once."""
        if not self._stopping.is_set():
            self._stopping.set()
            self._say(stop=number)

    def close(self) -> None:
        """Let the warden end whatever still runs; it has, once its pid is gone."""
        if self._link.fileno() >= 0:
            self._link.close()
            os.close(self._output)

    def begin(self, request: Mapping[str, object]) -> None:
        """Hand the warden its work and learn its pid."""
        self._say(**request)
        while not self.pid:
            self._hear()
            if self._code is not None:
                raise ConnectionError("the supervisor of the stages' processes is gone")

    def _say(self, **what: object) -> None:
        with suppress(OSError):  # the warden was killed; `_hear` finds out
            self._link.sendall(json.dumps(what).encode() + b"\n")

    def _hear(self) -> None:
        data = b""
        with suppress(ConnectionError):
            data = self._link.recv(1 << 16)
        if not data:
            self._code = LOST
        *lines, self._heard = (self._heard + data).split(b"\n")
        for told in map(json.loads, lines):
            self.pid = told.get("pid", self.pid)
            self._begun = told.get("command", self._begun)
            self._over = told.get("over", self._over)
            self._code = told.get("code", self._code)
            self._left = told.get("left", 0)


class Lines:
    """Bytes into lines; what a carriage return overwrites is shown but is no line."""

    def __init__(self, on_line: Callable[[str, bool], None]) -> None:
        self._on_line, self._rest = on_line, b""

    def feed(self, data: bytes, last: bool = False) -> None:
        """Take more bytes, or tell that these are the `last`."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[self._rest.rstrip(b"\r").rfind(b"\r") + 1 :]
        while len(self._rest) > LONGEST_LINE:
            lines.append(self._rest[:LONGEST_LINE])
            self._rest = self._rest[LONGEST_LINE:]
        if last and self._rest:
            lines.append(self._rest)
        for line in lines:
            self._on_line(self._visible(line), True)
        if data and (unfinished := self._visible(self._rest)):
            self._on_line(unfinished, False)

    @staticmethod
    def _visible(line: bytes) -> str:
        return line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
