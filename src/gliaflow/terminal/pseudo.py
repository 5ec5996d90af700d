"""Pseudo-terminals for what stages print: their bars move on one as on the terminal of who watches."""

import errno
import os
import stat
import termios
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

PAGERS = dict.fromkeys(("PAGER", "GIT_PAGER", "MANPAGER", "SYSTEMD_PAGER"), "cat") | {"AWS_PAGER": ""}
"""For the environment of a program that prints to one: nobody is there to turn its pages."""


class Size(NamedTuple):
    """Of a terminal."""

    columns: int
    lines: int


Measure = Callable[[], Size]


@runtime_checkable
class Shown(Protocol):
    """A listener that shows on a terminal what stages print."""

    @property
    def terminal(self) -> Callable[[str], Size] | None:
        """Tells how much of it the lines of a stage have, by the stage's address; None if it is no terminal."""
        ...


def open_pair(size: Size) -> tuple[int, int]:
    """A descriptor to read from, and the terminal to print to, which changes no byte and cannot be read.

    Raises:
        OSError: the system has no pseudo-terminal to give.
    """
    reading, terminal = os.openpty()
    try:
        modes = termios.tcgetattr(terminal)
        modes[1] &= ~termios.OPOST  # an end of line stays one byte
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSANOW, modes)
        resize(reading, size)
        # A pager that waits for keys gets an error, not a hang, even if it opens the terminal by its name.
        os.fchmod(terminal, stat.S_IWUSR)
        return reading, os.open(os.ttyname(terminal), os.O_WRONLY | os.O_NOCTTY)
    except (OSError, termios.error) as error:
        os.close(reading)
        raise OSError(*error.args) from error
    finally:
        os.close(terminal)


def resize(reading: int, size: Size) -> None:
    """Tell the programs on it how wide and high it is.

    Raises:
        termios.error: it is no pseudo-terminal.
    """
    termios.tcsetwinsize(reading, (size.lines, size.columns))


def read(output: int) -> bytes:
    """What was printed, of a pipe or of a pseudo-terminal; nothing once nobody can print any more.

    Raises:
        OSError: it cannot be read.
    """
    try:
        return os.read(output, 1 << 16)
    except OSError as error:
        if error.errno == errno.EIO:  # Linux tells the end of a pseudo-terminal so, other systems as that of a pipe
            return b""
        raise
