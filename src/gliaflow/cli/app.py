"""The command `gliaflow`: its commands, each imported when it is called, and its errors, one line each."""

import errno
import os
import sys

from cyclopts import App, CycloptsError

from gliaflow import __version__
from gliaflow.errors import GliaflowError, one_line

INTERRUPTED = 130  # what a shell reports for a process that SIGINT ended
TELEMETRY = ("DO_NOT_TRACK", "DVC_NO_ANALYTICS")
COMMANDS = {
    "repro": "repro",
    "status": "repro",
    "push": "share",
    "fetch": "share",
    "publish": "share",
    "versions": "share",
    "get": "share",
    "diff": "share",
    "metrics": "metrics",
    "deploy": "team",
    "pool": "team",
    "worker": "team",
}

app = App(
    name="gliaflow",
    help="Run any dvc.yaml in parallel: DVC says what is computed, Prefect says when and where.",
    version=__version__,
    suppress_keyboard_interrupt=False,
)
for _name, _module in COMMANDS.items():
    app.command(f"gliaflow.cli.{_module}:{_name}", name=_name)


def main() -> None:
    """Parse `sys.argv`, call the command, and exit.

    Exit codes: 0; 1 a stage failed; 2 what the user must change; 75 what may succeed later; 130 Ctrl-C. A bug keeps its
    traceback and exits 1.
    """
    for name in TELEMETRY:  # neither DVC nor Prefect tells anybody that it was used, unless the user wants it to
        os.environ.setdefault(name, "1")
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    try:
        app(exit_on_error=False, print_error=False)
    except CycloptsError as error:
        _end(2, f"{one_line(error)} Try --help.")
    except GliaflowError as error:
        _end(error.exit_code, str(error))
    except OSError as error:
        _end(2, _sentence(error))
    except KeyboardInterrupt:
        _end(INTERRUPTED, "interrupted; nothing half-written was left")


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    advice = "; free some space and run it again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
    return f"{where}{error.strerror or error}{advice}"


def _end(code: int, message: str) -> None:
    print(f"error: {message}", file=sys.stderr)
    sys.exit(code)
