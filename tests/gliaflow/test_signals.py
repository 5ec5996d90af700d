"""Signals raise what Ctrl-C raises; those that are ignored from the start stay so."""

import os
import signal

import pytest

from gliaflow.errors import Interrupted
from gliaflow.signals import ENDING, ended_by_signals


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_raises_and_is_as_before_afterwards(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with pytest.raises(Interrupted) as raised, ended_by_signals():
        os.kill(os.getpid(), number)
    assert raised.value.number == number
    assert signal.getsignal(number) == before


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ended_by_signals():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_signal_soon_after_is_no_second_interrupt() -> None:
    with ended_by_signals():
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
