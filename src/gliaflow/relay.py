"""Passes what a run tells to its listeners, in a thread of its own: no listener can fail or delay a stage."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from queue import SimpleQueue
from types import TracebackType

from gliaflow.core.ports import Listener
from gliaflow.core.report import Event, Line, Message

MOST = 100_000  # events that may wait for slow listeners; beyond, lines of stages are dropped
FLUSH_SECONDS = 5.0  # that listeners may take for what waits at the end


class Relay:
    """A listener that tells `listeners`, one after another, what it hears; open from `with` to its end."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = listeners
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._pass_on, name="listeners", daemon=True)

    def __enter__(self) -> "Relay":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._dropped:
            self._queue.put(Message(f"{self._dropped} lines of stages came too fast and are not shown"))
        self._queue.put(None)
        self._thread.join(FLUSH_SECONDS)

    def hear(self, event: Event) -> None:
        """Take the event and return at once."""
        if isinstance(event, Line) and self._queue.qsize() > MOST:
            self._dropped += event.whole
        else:
            self._queue.put(event)

    def _pass_on(self) -> None:
        while event := self._queue.get():
            for listener in self._listeners:
                with suppress(Exception):  # a broken terminal is no reason to fail
                    listener.hear(event)
