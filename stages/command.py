"""Run a stage's `main` as a command: its arguments typed from the signature, its errors one line each."""

import errno
import sys
from collections.abc import Callable
from typing import Any

from cyclopts import App, CycloptsError

from stages.errors import GliaflowError

INTERRUPTED = 130  # what a shell reports for a process that SIGINT ended


def run(main: Callable[..., None]) -> None:
    """Parse `sys.argv` for `main`, call it, and exit.

    Exit codes: 0; 2 what the user must mend (arguments, parameters, files, a full disk);
    75 a transient failure; 130 Ctrl-C. A bug keeps its traceback and exits 1.
    """
    app = App(
        name=f"python -m {_module(main)}",
        default_command=main,
        help=main.__doc__,
        version_flags=[],
        suppress_keyboard_interrupt=False,
    )
    try:
        app(exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _end(2, f"{' '.join(str(error).split())} Try --help.")
    except GliaflowError as error:
        _end(error.exit_code, str(error))
    except OSError as error:
        _end(2, _sentence(error))
    except MemoryError:
        _end(2, "memory is full; lower the batch in params.yaml")
    except KeyboardInterrupt:
        _end(INTERRUPTED, "interrupted; nothing half-written was left")


def _module(main: Callable[..., Any]) -> str:
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else main.__module__


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    advice = "; free some space and run it again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{where}{error.strerror or error}{advice}"


def _end(code: int, message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
