"""The lock by which one sees that a run lives: its journal is locked until its process has ended, in whatever way."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def take(descriptor: int) -> None:
    """Lock an open file for this process.

    Raises:
        BlockingIOError: another process has locked it.
    """
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def held(path: Path) -> bool:
    """Whether a process has locked the file."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Lock a file, made if it is not there, inside the block; yields False if another process has."""
    with path.open("ab") as file:
        with suppress(BlockingIOError):
            take(file.fileno())
            yield True
            return
        yield False
