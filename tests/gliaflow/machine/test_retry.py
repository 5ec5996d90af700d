"""Asking again."""

from collections.abc import Callable

import pytest

from gliaflow.errors import TransientError, UserError
from gliaflow.machine.retry import retry


def failing(*errors: Exception) -> Callable[[], int]:
    """Raises these one after another, then returns how many there were."""
    left = list(errors)

    def action() -> int:
        if left:
            raise left.pop(0)
        return len(errors)

    return action


def test_what_may_pass_is_asked_again_and_what_lasts_is_not() -> None:
    assert retry(failing(OSError(), TransientError()), waits=(0, 0)) == 2
    with pytest.raises(TransientError, match="OSError: gone"):
        retry(failing(*[OSError("gone")] * 3), waits=(0, 0))
    with pytest.raises(UserError):
        retry(failing(UserError("mend it")), waits=(0, 0))
    with pytest.raises(InterruptedError):
        retry(failing(InterruptedError("interrupted")), waits=(0, 0))
    with pytest.raises(AttributeError):
        retry(failing(AttributeError()), waits=(0, 0))
