"""Standard output, whatever it is: whether its cursor moves, and lines that reach it whole, or are counted."""

import codecs
import errno
import os
import select
from collections.abc import Mapping
from typing import TextIO

from gliaflow.terminal.pseudo import Size

WITHOUT_CURSOR = ("", "dumb", "unknown")  # as values of TERM
NO = ("", "0", "false", "no", "off")
ATOMIC = select.PIPE_BUF  # bytes; so many reach a pipe in one piece, and no other process's come between
AWAY = (errno.EPIPE, errno.EIO, errno.EBADF, errno.ENXIO, errno.ECONNRESET)  # who read it has left for good
WAIT_MILLISECONDS = 1000  # between two looks at a full pipe that refuses to wait itself


class Stream:
    """Where text goes; whoever reads it, and may leave, changes nothing for who writes."""

    def __init__(self, file: TextIO, environment: Mapping[str, str] = os.environ) -> None:
        self._file, self._environment = file, environment
        self._encoder = codecs.getincrementalencoder(getattr(file, "encoding", None) or "utf-8")("replace")
        self._broken = False  # in the middle of a line
        try:
            self._number: int | None = file.fileno()
        except (OSError, ValueError, AttributeError):
            self._number = None
        self.error: OSError | None = None
        """Why it takes nothing any more, or took nothing the last time."""
        self.lost = 0
        """Lines that it did not take."""

    @property
    def size(self) -> Size | None:
        """Of the terminal; None if it is none, or does not know."""
        try:
            found = os.get_terminal_size(self._number) if self._number is not None else None
        except OSError:
            return None
        return Size(*found) if found and found.columns and found.lines else None

    @property
    def is_terminal(self) -> bool:
        """Whether it is one, whatever the environment claims."""
        return self._number is not None and os.isatty(self._number)

    @property
    def moves(self) -> bool:
        """Whether somebody looks at a terminal whose cursor can be moved.

        No setting makes a file one. `TTY_INTERACTIVE=1` makes one of a terminal that CI or a notebook records.
        """
        asked = {name: self._environment.get(name, "").lower() for name in ("TTY_COMPATIBLE", "TTY_INTERACTIVE", "CI")}
        if not self.is_terminal or self._environment.get("TERM", "").lower() in WITHOUT_CURSOR or not self.size:
            return False
        if "0" in (asked["TTY_COMPATIBLE"], asked["TTY_INTERACTIVE"]):
            return False
        recorded = asked["CI"] not in NO or "JPY_PARENT_PID" in self._environment  # which a kernel of Jupyter sets
        return asked["TTY_INTERACTIVE"] == "1" or not recorded

    @property
    def colours(self) -> bool:
        """Whether text may have colours."""
        wanted = not self._environment.get("NO_COLOR") and self._environment.get("CLICOLOR") != "0"
        return self.moves and wanted

    @property
    def ready(self) -> bool:
        """Whether it would take something at once."""
        look = select.poll()
        if self._number is not None:
            look.register(self._number, select.POLLOUT)
        return self._number is None or bool(look.poll(0))

    def write(self, text: str) -> None:
        """Write whole lines, as many at once as reach a pipe unmixed; what is not taken is counted."""
        if self.error and self.error.errno in AWAY:
            self.lost += text.count("\n")
            return
        try:
            self._file.flush()  # what others printed there comes first
            if self._number is None:
                self._file.write(text)
                self._file.flush()
                return
        except (OSError, ValueError) as error:
            self._fail(error if isinstance(error, OSError) else OSError(errno.EBADF, str(error)), text.count("\n"))
            return
        data, start = self._encoder.encode(text), 0
        if self._broken and not self._take(self._encoder.encode("\n")):
            self._fail(self.error, text.count("\n"))
            return
        while start < len(data):
            end = data.rfind(b"\n", start, start + ATOMIC) + 1 or data.find(b"\n", start) + 1 or len(data)
            if not self._take(data[start:end]):
                self._fail(self.error, data.count(b"\n", start))
                return
            start = end

    def _take(self, data: bytes) -> bool:
        """Whether all of it was taken."""
        assert self._number is not None
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._number, left) :]
            except BlockingIOError:
                full = select.poll()
                full.register(self._number, select.POLLOUT)
                full.poll(WAIT_MILLISECONDS)
            except OSError as error:
                self._broken = self._broken if len(left) == len(data) else True
                self.error = error
                return False
        self._broken, self.error = False, None
        return True

    def _fail(self, error: OSError | None, lines: int) -> None:
        self.error = error
        self.lost += lines
