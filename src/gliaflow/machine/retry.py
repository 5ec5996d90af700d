"""Try again what a remote or a server may refuse now and grant in a moment."""

import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from gliaflow.errors import TransientError, UserError, one_line

BUGS = (AssertionError, AttributeError, NameError, TypeError)
LASTING: tuple[type[Exception], ...] = (UserError, InterruptedError, MemoryError, *BUGS)
WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0)

T = TypeVar("T")


def retry(
    action: Callable[[], T], waits: Sequence[float] = WAITS_SECONDS, lasting: tuple[type[Exception], ...] = ()
) -> T:
    """What `action` returns, called again after each of `waits` in seconds if it raises.

    After an error of `lasting`, as after one of `LASTING`, no further try would help.

    Raises:
        UserError: the action did; no further try would change that.
        InterruptedError: the action did: nobody waits for it any more.
        TransientError: the last try failed too.
    """
    lasting = (*LASTING, *lasting)
    passed_on: tuple[type[Exception], ...] = (*lasting, TransientError)
    for wait in waits:
        try:
            return action()
        except lasting:
            raise
        except Exception:
            time.sleep(wait)
    try:
        return action()
    except passed_on:
        raise
    except Exception as error:
        raise TransientError(one_line(f"{type(error).__name__}: {error}")) from error
