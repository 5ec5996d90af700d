"""Show how far a stage is: by a bar on a terminal, and in a log by a line now and then."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

from tqdm import tqdm

EVERY_SECONDS = 10.0
"""Between two lines of a log, and before the first: a stage of a few seconds prints none."""
BYTES = "B"


class Progress:
    """How much is done of one piece of work; threads may share it."""

    def __init__(self, what: str, total: int | None, unit: str, done: int, bar: "tqdm[Any] | None") -> None:
        self._what, self._total, self._unit, self._bar = what, total, unit, bar
        self._before = self._done = done
        self._note = ""
        self._began = self._printed = time.monotonic()
        self._lock = Lock()

    def add(self, count: int = 1, note: str = "") -> None:
        """`count` more are done; `note` is shown beside from now on, where it says something."""
        with self._lock:
            self._done += count
            self._note = note or self._note
            if self._bar is not None:
                if note:
                    self._bar.set_postfix_str(note, refresh=False)
                self._bar.update(count)
            elif (now := time.monotonic()) - self._printed >= EVERY_SECONDS:
                self._printed = now
                print(self._line(now - self._began), file=sys.stderr, flush=True)

    def _line(self, seconds: float) -> str:
        """`train: 30 of 120 steps (25 %), 00:20 gone, 01:00 to go, loss 0.312`."""
        parts = [f"{self._what}: {self._amount(self._done)}", f"{tqdm.format_interval(seconds)} gone"]
        if self._total:
            parts[0] = f"{self._what}: {self._amount(self._done, self._total)} ({100 * self._done / self._total:.0f} %)"
            if (new := self._done - self._before) > 0:
                left = max(seconds * (self._total - self._done) / new, 0)
                parts.append(f"{tqdm.format_interval(left)} to go")
        return ", ".join([*parts, *filter(None, [self._note])])

    def _amount(self, *counts: int) -> str:
        if self._unit == BYTES:
            return " of ".join(f"{tqdm.format_sizeof(count)}B" for count in counts)
        return f"{' of '.join(f'{count:,}' for count in counts)} {self._unit}s"


@contextmanager
def progress(what: str, total: int | None, unit: str, *, done: int = 0) -> Iterator[Progress]:
    """Show the progress of `what` on standard error while the block runs.

    `total` is a number of `unit`s, None where nobody knows it, and `done` how many of them were done before.
    """
    if not sys.stderr.isatty():
        yield Progress(what, total, unit, done, None)
        return
    # A terminal of no size, as programs make them, would get no bar.
    columns, rows = (None, None) if os.get_terminal_size(sys.stderr.fileno()).columns else (80, 24)
    named, scaled = (unit, True) if unit == BYTES else (f" {unit}s", False)
    with tqdm(total=total, initial=done, desc=what, unit=named, unit_scale=scaled, ncols=columns, nrows=rows) as bar:
        yield Progress(what, total, unit, done, bar)
