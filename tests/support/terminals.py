"""Terminals on which a test looks: what was printed to one, and what then stands there."""

import os
import re
import subprocess
import termios
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import soon

CODE = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")


class Terminal:
    """A real one, of this size; nobody types."""

    def __init__(self, columns: int = 80, lines: int = 24, reads: bool = True) -> None:
        self.reading, self.printing = os.openpty()
        self.resize(columns, lines)
        self._data = b""
        self._files: list[TextIO] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        if reads:
            self._reader.start()

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        with suppress(OSError):
            os.close(self.reading)

    def _read(self) -> None:
        with suppress(OSError):  # Linux ends a terminal with an error
            while data := os.read(self.reading, 1 << 16):
                self._data += data

    def resize(self, columns: int, lines: int) -> None:
        """Make it this large."""
        self.columns, self.lines = columns, lines
        termios.tcsetwinsize(self.reading, (lines, columns))

    def file(self) -> TextIO:
        """To print to it."""
        made = os.fdopen(os.dup(self.printing), "w", encoding="utf-8")
        self._files.append(made)
        return made

    def run(self, line: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> int:
        """The exit code of a command that prints to it alone."""
        return subprocess.run(
            line, cwd=cwd, env={"TERM": "xterm", **environment}, stdin=subprocess.DEVNULL, stdout=self.printing,
            stderr=self.printing, timeout=COMMAND_SECONDS, check=False,
        ).returncode  # fmt: skip

    def close(self) -> None:
        """Nobody prints to it any more; all that was printed is there."""
        for file in self._files:
            file.close()
        if self.printing >= 0:
            os.close(self.printing)
            self.printing = -1
            if self._reader.is_alive():
                self._reader.join(10)

    @property
    def printed(self) -> str:
        """All, as it came."""
        return self._data.decode(errors="replace")

    def shows(self, pattern: str, since: int = 0) -> bool:
        """Whether a line is found, in time, that was printed after so many characters."""
        return bool(soon(lambda: any(re.search(pattern, line) for line in texts(self.printed[since:])), pause=0.05))

    def left(self) -> list[str]:
        """What stands on it at the end, scrolled away or not; lines end where they break at its edge."""
        self.close()
        rows, place, column = [""], 0, 0
        for part in re.split(r"(\x1b\[[\d;?]*[A-Za-z]|\r|\n)", self.printed):
            if part == "\r":
                column = 0
            elif part == "\n":
                place += 1
                rows += [""] * (place + 1 - len(rows))
            elif code := re.fullmatch(r"\x1b\[(\d*)A", part):
                place -= min(int(code[1] or 1), place)
            elif part == "\x1b[J":
                rows[place:] = [rows[place][:column]]
            elif not CODE.fullmatch(part):
                for start in range(0, len(part), self.columns):
                    if start:
                        place, column = place + 1, 0
                        rows += [""] * (place + 1 - len(rows))
                    piece = part[start : start + self.columns]
                    rows[place] = rows[place][:column].ljust(column) + piece + rows[place][column + len(piece) :]
                    column += len(piece)
        return [row.rstrip() for row in rows if row.strip()]


def texts(printed: str) -> list[str]:
    """The lines in it, without what moves the cursor and without columns' padding."""
    return [" ".join(line.split()) for line in re.split(r"[\r\n]+", CODE.sub("", printed))]
