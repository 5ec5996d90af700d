"""Signals that end a program as Ctrl-C does: what runs is closed in order."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from gliaflow.errors import Interrupted

ENDING = (signal.SIGHUP, signal.SIGTERM, signal.SIGQUIT)
ORDERLY_SECONDS = 30.0  # that the end may take; who closes a terminal sends SIGHUP twice


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Have these signals raise what Ctrl-C raises, but for those that are ignored from the start, as `nohup` does."""
    first: list[float] = []

    def end(number: int, _: FrameType | None) -> None:
        if not first or time.monotonic() - first[0] > ORDERLY_SECONDS:
            first[:] = [time.monotonic()]
            raise Interrupted(number)

    before = {number: signal.getsignal(number) for number in ENDING}
    heard = [number for number, handler in before.items() if handler == signal.SIG_DFL]
    for number in heard:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heard:
            signal.signal(number, before[number])
