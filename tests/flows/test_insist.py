"""Asking again."""

from collections.abc import Callable

import pytest

from flows.insist import insist
from flows.pools import Pulse
from stages.errors import TransientError, UserError


def failing(*errors: Exception) -> Callable[[], int]:
    """Raises these one after another, then returns how many there were."""
    left = list(errors)

    def action() -> int:
        if left:
            raise left.pop(0)
        return len(errors)

    return action


def test_what_may_pass_is_asked_again_and_what_lasts_is_not() -> None:
    assert insist(failing(OSError(), TransientError()), waits=(0, 0)) == 2
    with pytest.raises(TransientError, match="OSError: gone"):
        insist(failing(*[OSError("gone")] * 3), waits=(0, 0))
    with pytest.raises(UserError):
        insist(failing(UserError("mend it")), waits=(0, 0))
    with pytest.raises(AttributeError):
        insist(failing(AttributeError()), waits=(0, 0))


def test_silence_counts_from_the_last_sign_and_not_while_the_server_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("flows.pools.time.monotonic", lambda: clock[0])
    pulse, first, second = Pulse(), object(), object()
    clock[0] = 5.0
    assert pulse.silence(first) == 0  # type: ignore[arg-type]
    clock[0] = 9.0
    assert pulse.silence(first) == 4  # type: ignore[arg-type]
    pulse.missed()
    clock[0] = 10.0
    assert pulse.silence(first) == 1  # type: ignore[arg-type]
    assert pulse.silence(second) == 0  # type: ignore[arg-type]
