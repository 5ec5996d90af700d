"""Signs of life: how long is silence."""

import pytest

from gliaflow.hosts.heartbeat import Silence


def test_silence_counts_from_the_last_sign_and_not_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("gliaflow.hosts.heartbeat.time.monotonic", lambda: clock[0])
    silence, first, second = Silence(), object(), object()
    clock[0] = 5.0
    assert silence.seconds(first) == 0  # type: ignore[arg-type]
    clock[0] = 9.0
    assert silence.seconds(first) == 4  # type: ignore[arg-type]
    silence.reset()
    clock[0] = 10.0
    assert silence.seconds(first) == 1  # type: ignore[arg-type]
    assert silence.seconds(second) == 0  # type: ignore[arg-type]
