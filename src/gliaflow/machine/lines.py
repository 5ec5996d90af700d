"""The bytes that a command prints, as lines."""

from collections.abc import Callable

LONGEST_LINE = 1 << 16  # bytes; a longer one is cut into several


class Lines:
    """Bytes into lines; what a carriage return overwrites is shown but is no line."""

    def __init__(self, on_line: Callable[[str, bool], None]) -> None:
        self._on_line, self._rest = on_line, b""

    def feed(self, data: bytes, last: bool = False) -> None:
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

