"""What DVC logs while a repository is open: warnings go to the user, once each, with the stage that they are about.

Left out is what gliaflow tells in its own words, and what is no news for a person; see `KNOWN`.
"""

import logging
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dvc.stage import Stage

from gliaflow.errors import one_line, told

LOGGERS = ("dvc", "dvc_data", "dvc_objects", "scmrepo")
MOST = 10  # warnings of one kind; a remote that refuses refuses thousands of files
MOST_LINES = 4  # of one warning: some list thousands of files
KNOWN = re.compile(
    "|".join(
        (
            "is frozen",  # a stage: the workspace tells it
            "had been killed. Auto removed it",  # an entry of the rwlock: whoever made it is gone
            "is missing version info",  # an output that no run has made yet
            "Some of the cache files do not exist",  # a transfer lists what it could not send or fetch
            "Unable to find `less`",  # nothing is paged
        )
    )
)


@contextmanager
def dvc_silent(say: Callable[[str], None] | None = None) -> Iterator[None]:
    """Keep DVC from printing what it logs inside the block; with `say`, tell what it warns of."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.handlers, logger.propagate) for logger in loggers]
    listening = _Warnings(say) if say else None
    for logger in loggers:
        logger.setLevel(logging.WARNING if say else logging.CRITICAL)
        if listening:
            logger.handlers, logger.propagate = [listening], False
    try:
        yield
    finally:
        for logger, (level, handlers, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.handlers, logger.propagate = handlers, propagate
        if listening:
            listening.end()


class _Warnings(logging.Handler):
    """Tells each warning once, and of those of one kind no more than some."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._say, self._met, self._kinds = say, set[str](), Counter[str]()
        self._mutex = threading.Lock()

    def emit(self, record: logging.LogRecord) -> None:
        """Called by whichever thread DVC works in."""
        text = _text(record)
        if not text or KNOWN.search(text):
            return
        with self._mutex:
            if text in self._met:
                return
            self._met.add(text)
            self._kinds[str(record.msg)] += 1
            many = self._kinds[str(record.msg)] > MOST
        if not many:
            self._say(f"{_prefix(text)}{text}")

    def end(self) -> None:
        """Tell how many warnings there were that nobody has seen."""
        for number in self._kinds.values():
            if number > MOST:
                self._say(f"{number - MOST} more warnings of this kind")


def _text(record: logging.LogRecord) -> str:
    lines = record.getMessage().strip().splitlines()
    more = [f"and {len(lines) - MOST_LINES} more"] if len(lines) > MOST_LINES else []
    text = one_line(" ".join([*lines[:MOST_LINES], *more]))
    error = record.exc_info[1] if record.exc_info else None
    return f"{text.rstrip('.')}: {told(error)}".removeprefix(": ") if error else text


def _prefix(text: str) -> str:
    """The stage on which DVC works, unless the warning names it."""
    frame: FrameType | None = sys._getframe()
    while frame:
        for one in (frame.f_locals.get("stage"), frame.f_locals.get("self")):
            owner = one if isinstance(one, Stage) else getattr(one, "stage", None)
            if isinstance(owner, Stage) and f"'{owner.addressing}'" not in text:
                return f"stage '{owner.addressing}': "
        frame = frame.f_back
    return ""
