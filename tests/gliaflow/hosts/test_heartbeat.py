"""Signs of life: how long is silence."""

import pytest

from gliaflow.hosts.heartbeat import Pulse


def test_silence_counts_from_the_last_sign_and_not_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("gliaflow.hosts.heartbeat.time.monotonic", lambda: clock[0])
    pulse, first, second = Pulse(), object(), object()
    clock[0] = 5.0
    assert pulse.silence(first) == 0  # type: ignore[arg-type]
    clock[0] = 9.0
    assert pulse.silence(first) == 4  # type: ignore[arg-type]
    pulse.missed()
    clock[0] = 10.0
    assert pulse.silence(first) == 1  # type: ignore[arg-type]
    assert pulse.silence(second) == 0  # type: ignore[arg-type]
