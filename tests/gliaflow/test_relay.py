"""Listeners hear all in order, and none of them delays or fails whoever tells."""

import threading
import time

import pytest

from gliaflow import relay
from gliaflow.core.report import Event, Line, Message
from gliaflow.relay import Relay
from tests.support.fakes import Ear


class Broken:
    """A listener that fails."""

    def hear(self, event: Event) -> None:
        """Fail."""
        raise OSError(f"the terminal is gone: {event}")


class Slow:
    """A listener that hears the first event and waits in it until it may go on."""

    def __init__(self) -> None:
        self.busy, self.go = threading.Event(), threading.Event()

    def hear(self, event: Event) -> None:  # noqa: ARG002
        """Wait."""
        self.busy.set()
        assert self.go.wait(30)


def test_all_is_heard_in_order_by_each_although_one_fails() -> None:
    events, first, second = [Line("s", str(number)) for number in range(500)], Ear(), Ear()
    with Relay([first, Broken(), second]) as told:
        for event in events:
            told.hear(event)
    assert first.events == second.events == events


def test_a_listener_that_waits_delays_no_one_who_tells() -> None:
    slow = Slow()
    with Relay([slow]) as told:
        began = time.monotonic()
        for number in range(100):
            told.hear(Line("s", str(number)))
        assert time.monotonic() - began < 5
        assert slow.busy.wait(30)
        slow.go.set()


def test_nobody_waits_at_the_end_for_a_listener_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FLUSH_SECONDS", 0.05)
    slow, began = Slow(), time.monotonic()
    with Relay([slow]) as told:
        told.hear(Message("a"))
    assert time.monotonic() - began < 5
    slow.go.set()


def test_lines_that_come_too_fast_are_dropped_and_counted_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST", 2)
    slow, ear = Slow(), Ear()
    with Relay([slow, ear]) as told:
        told.hear(Message("first"))
        assert slow.busy.wait(30)  # with it; the queue is empty
        for number in range(3):
            told.hear(Line("s", str(number)))
        for whole in (True, False, True):  # three wait, more than two
            told.hear(Line("s", "dropped", whole))
        told.hear(Message("kept"))
        slow.go.set()
    texts = [event.text for event in ear.events if isinstance(event, Line | Message)]
    assert texts == ["first", "0", "1", "2", "kept", "2 lines of stages came too fast and are not shown"]
