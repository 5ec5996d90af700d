"""One working directory a process: whoever works in a repository has it to itself, and others of the process wait."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_turn = threading.RLock()
_where: list[Path] = []


@contextmanager
def turn(root: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Have the working directory for the block, in this thread; `say` is told if another thread has it."""
    if not _turn.acquire(blocking=False):
        place = f" in {_where[-1]}" if _where else ""
        say(f"waits: this process works{place}, and can work in one repository at a time; use a process for each")
        _turn.acquire()
    _where.append(root.absolute())
    try:
        yield
    finally:
        _where.pop()
        _turn.release()
