"""Passes what a run tells to its listeners, each in a thread of its own: none can fail or delay a stage, or another."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Protocol, runtime_checkable

from gliaflow.core.ports import Listener
from gliaflow.core.report import Event, Line, Message, Summary

MOST = 100_000  # events that may wait for a slow listener; beyond, lines of stages are dropped
BATCH = 200  # events that a listener gets at once
FLUSH_SECONDS = 4.0  # that listeners may take at the end for the lines that wait
LAST_SECONDS = 1.0  # and then for all else
DROPPED = "{} lines of stages came too fast and are not shown; `gliaflow logs` has them"


@runtime_checkable
class Batched(Protocol):
    """A listener that is quicker with several events at once."""

    def hear_all(self, events: Sequence[Event]) -> None:
        """Take the events, in their order."""
        ...


class Relay:
    """A listener that tells `listeners` what it hears; open from `with` to its end.

    At most `most` events wait for one of them, `MOST` by default. At the end lines that wait get so many `seconds`.
    """

    def __init__(self, listeners: Sequence[Listener], most: int | None = None, seconds: float | None = None) -> None:
        self._listeners = [_Queue(listener, MOST if most is None else most) for listener in listeners]
        self._seconds = FLUSH_SECONDS if seconds is None else seconds

    def __enter__(self) -> "Relay":
        for one in self._listeners:
            one.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now = time.monotonic()
        for one in self._listeners:
            one.put(None)
        for seconds in (self._seconds, self._seconds + LAST_SECONDS):
            for one in self._listeners:
                one.join(max(now + seconds - time.monotonic(), 0))
                one.late.set()

    def hear(self, event: Event) -> None:
        """Take the event and return at once."""
        for one in self._listeners:
            one.put(event)


class _Queue(threading.Thread):
    """What waits for one listener."""

    def __init__(self, listener: Listener, most: int) -> None:
        super().__init__(name="listener", daemon=True)
        self._most = most
        self.late = threading.Event()
        self._listener = listener
        self._queue: SimpleQueue[Event | None] = SimpleQueue()
        self._dropped = 0

    def put(self, event: Event | None) -> None:
        if isinstance(event, Line) and self._queue.qsize() > self._most:
            self._dropped += event.whole
        else:
            self._queue.put(event)

    def run(self) -> None:
        over = False
        while not over:
            events: list[Event] = []
            found = self._queue.get()
            with suppress(Empty):
                while found and len(events) < BATCH:
                    events += self._due(found)
                    found = self._queue.get_nowait()
                if found:
                    events += self._due(found)
            over = found is None
            if over:
                events += self._confessed()
            self._tell(events)

    def _due(self, event: Event) -> list[Event]:
        """What is to be told with the event, if it still is."""
        if isinstance(event, Line) and self.late.is_set():
            self._dropped += event.whole
            return []
        return [*self._confessed(), event] if isinstance(event, Summary) else [event]

    def _confessed(self) -> list[Event]:
        """How many lines are not told."""
        dropped, self._dropped = self._dropped, 0
        return [Message(DROPPED.format(dropped))] if dropped else []

    def _tell(self, events: Sequence[Event]) -> None:
        if isinstance(self._listener, Batched):
            with suppress(Exception):
                self._listener.hear_all(events)
        else:
            for event in events:
                with suppress(Exception):  # a broken terminal is no reason to fail
                    self._listener.hear(event)
