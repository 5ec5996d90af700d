"""Listeners hear all in order, and none of them delays or fails whoever tells, or another."""

import threading
import time
from collections.abc import Sequence

import pytest

from gliaflow import relay
from gliaflow.core.report import Event, Line, Message, Outcome, Report, StageEnded, StageResult, Summary
from gliaflow.relay import DROPPED, Relay
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
        self.events: list[Event] = []

    def hear(self, event: Event) -> None:
        """Wait."""
        self.events.append(event)
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
    monkeypatch.setattr(relay, "LAST_SECONDS", 0.05)
    slow, began = Slow(), time.monotonic()
    with Relay([slow]) as told:
        told.hear(Message("a"))
    assert time.monotonic() - began < 5
    slow.go.set()


def test_lines_that_come_too_fast_are_dropped_and_counted_and_nothing_else_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MOST", 2)
    slow = Slow()
    with Relay([slow]) as told:
        told.hear(Message("first"))
        assert slow.busy.wait(30)  # with it; the queue is empty
        for number in range(3):
            told.hear(Line("s", str(number)))
        for whole in (True, False, True):  # three wait, more than two
            told.hear(Line("s", "dropped", whole))
        told.hear(Message("kept"))
        slow.go.set()
    texts = [event.text for event in slow.events if isinstance(event, Line | Message)]
    assert texts == ["first", "0", "1", "2", "kept", DROPPED.format(2)]


class Batches:
    """A listener of several events at once, which takes its time for each of them."""

    def __init__(self, seconds: float = 0) -> None:
        self.seconds, self.batches = seconds, list[Sequence[Event]]()

    def hear(self, event: Event) -> None:
        """One alone."""
        raise AssertionError(event)

    def hear_all(self, events: Sequence[Event]) -> None:
        """Several."""
        self.batches.append(events)
        time.sleep(self.seconds * len(events))


class Blocked(Batches):
    """Hears nothing until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()

    def hear_all(self, events: Sequence[Event]) -> None:
        """Wait first."""
        assert self.go.wait(30)
        super().hear_all(events)


def test_what_waits_is_heard_at_once_and_in_order() -> None:
    blocked, events = Blocked(), [Line("s", str(number)) for number in range(1000)]
    with Relay([blocked]) as told:
        for event in events:
            told.hear(event)
        blocked.go.set()
    assert [event for batch in blocked.batches for event in batch] == events
    assert 1 < len(blocked.batches) < 20
    assert all(batch and len(batch) <= relay.BATCH + 1 for batch in blocked.batches)


def test_a_listener_that_hangs_keeps_nothing_from_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FLUSH_SECONDS", 0.2)
    monkeypatch.setattr(relay, "LAST_SECONDS", 0.1)
    slow, ear = Slow(), Ear()
    events = [Line("s", str(number)) for number in range(100)]
    with Relay([slow, ear]) as told:
        for event in events:
            told.hear(event)
    assert ear.events == events
    slow.go.set()


def test_a_slow_listener_hears_the_end_in_time_and_how_much_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "FLUSH_SECONDS", 0.3)
    monkeypatch.setattr(relay, "LAST_SECONDS", 30.0)
    monkeypatch.setattr(relay, "BATCH", 10)
    slow = Batches(0.01)
    end = [StageEnded(StageResult("s", Outcome.RUN)), Summary(Report())]
    began = time.monotonic()
    with Relay([slow]) as told:
        for number in range(100_000):
            told.hear(Line("s", str(number)))
        for event in end:
            told.hear(event)
    assert time.monotonic() - began < 60  # and not 1000
    heard = [event for batch in slow.batches for event in batch]
    lines = [event for event in heard if isinstance(event, Line)]
    assert [line.text for line in lines] == [str(number) for number in range(len(lines))]
    missed = heard[-2]
    assert isinstance(missed, Message)
    assert missed.text == DROPPED.format(100_000 - len(lines))
    assert [heard[-3], heard[-1]] == end
