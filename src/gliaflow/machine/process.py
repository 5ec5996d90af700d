"""Run a stage's commands: their lines as they come, a time limit, and the end of the whole tree."""

import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gliaflow.machine.supervisor import Refused, readable
from gliaflow.resources.usage import Usage
from gliaflow.terminal.pseudo import Measure, read, resize
from gliaflow.terminal.text import Lines

LOOK_SECONDS = 0.2  # at most between two looks at the clock
DRAIN_SECONDS = 2.0  # how long the output of a stage that has ended may stay open
CANNOT_RUN = 127  # a shell's exit code for a command that is not there
LOST = -signal.SIGKILL  # the exit code of a process whose warden was killed


@dataclass(frozen=True)
class Exit:
    """How a stage's commands ended."""

    code: int  # exit code of the last one that ran; −N where signal N ended it
    command: str
    timed_out: bool
    left: int  # processes that it left running, ended by now
    refused: Refused | None = None  # why the system did not start the command
    lost: bool = False  # its warden was killed, and all of it with that
    used: Usage | None = field(default=None, compare=False)  # by all of it

    @property
    def exit_code(self) -> int:
        """As a shell counts: 128 + N where signal N ended it."""
        return self.code if self.code >= 0 else 128 - self.code


class Process:
    """One stage's commands under a warden of their own; nothing runs before `run`."""

    def __init__(self, link: socket.socket, output: int, terminal: Measure | None = None) -> None:
        self._link, self._output, self._terminal = link, output, terminal
        self._size = terminal and terminal()  # of the pseudo-terminal that the output is
        self._heard = b""
        self._begun: Sequence[str] = [""]
        self._waits = False  # the next command, for the word to go
        self._refused: Refused | None = None
        self._lost = False
        self._over = False  # all commands have ended, if not what they left running
        self._code: int | None = None
        self._left = 0
        self._used: Usage | None = None
        self._stopping = threading.Event()
        self.pid = 0  # the warden's: alive as long as anything of the stage is

    def run(
        self,
        on_line: Callable[[str, bool], None],
        timeout: float | None = None,
        on_command: Callable[[], None] = lambda: None,
    ) -> Exit:
        """Run the commands one after another; the first that fails is the last.

        `on_line` gets each line, with its colours, and with False what stands so far on one that is not finished: a
        progress bar. `on_command` is called before each command, after the lines of the one before.
        """
        deadline = time.monotonic() + timeout if timeout else None
        text, timed_out, closed, drained = Lines(on_line), False, False, 0.0
        on_command()
        self._say(go=True)
        while self._code is None or not closed:
            wait = LOOK_SECONDS
            if deadline is not None:
                wait = min(LOOK_SECONDS, max(deadline - time.monotonic(), 0.0))
            sources: list[int | socket.socket] = [] if closed else [self._output]
            sources += [self._link] if self._code is None else []
            ready = readable(sources, wait)
            if self._output in ready:
                data = read(self._output)
                closed = not data
                text.feed(data)
            text.show()
            self._fit()
            if self._link in ready:
                self._hear()
            if self._waits:
                self._waits = False
                while not closed and readable([self._output], 0) and (data := os.read(self._output, 1 << 16)):
                    text.feed(data)
                    if len(data) < 1 << 16:
                        break  # all that the pipe held; what runs on in the background may write for ever
                text.feed(b"", last=True)
                on_command()
                self._say(go=True)
            if self._over or self._code is not None:
                deadline = None  # it ended in time
            if self._code is not None and time.monotonic() > (drained := drained or time.monotonic() + DRAIN_SECONDS):
                break  # somebody else holds the pipe
            if deadline is not None and time.monotonic() >= deadline:
                timed_out, deadline = True, None
                self.stop(signal.SIGTERM)
        text.feed(b"", last=True)
        self.close()
        return Exit(self._code, self._begun[-1], timed_out, self._left, self._refused, self._lost, self._used)

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
            if self._refused:
                raise OSError(self._refused[0], f"no process can be started: {os.strerror(self._refused[0])}")
            if self._code is not None:
                raise ConnectionError("the supervisor of the stages' processes is gone")

    def _fit(self) -> None:
        """Make the pseudo-terminal as large as the terminal is by now."""
        if self._terminal and (size := self._terminal()) != self._size:
            self._size = size
            resize(self._output, size)

    def _say(self, **what: object) -> None:
        with suppress(OSError):  # the warden was killed; `_hear` finds out
            self._link.sendall(json.dumps(what).encode() + b"\n")

    def _hear(self) -> None:
        data = b""
        with suppress(ConnectionError):
            data = self._link.recv(1 << 16)
        if not data:
            self._code, self._lost = LOST, True
        *lines, self._heard = (self._heard + data).split(b"\n")
        for told in map(json.loads, lines):
            self.pid = told.get("pid", self.pid)
            self._begun = told.get("command", self._begun)
            self._waits = told.get("waits", self._waits)
            if errno_and_path := told.get("refused"):
                self._refused = (errno_and_path[0], errno_and_path[1])
            self._over = told.get("over", self._over)
            self._code = told.get("code", self._code)
            self._left = told.get("left", 0)
            self._used = told.get("used", self._used)
