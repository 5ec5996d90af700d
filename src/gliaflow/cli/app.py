"""The command `gliaflow`: its commands, each imported when it is called, and its errors, one line each."""

import errno
import os
import sys
from io import TextIOWrapper
from typing import Literal

from cyclopts import App, CycloptsError

import gliaflow
from gliaflow.errors import GliaflowError, one_line

INTERRUPTED = 130  # what a shell reports for a process that SIGINT ended
UNHEARD = 141  # and for one that SIGPIPE ended: who read its output has left
TELEMETRY = {"DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
COMMANDS = {
    "repro": ["repro", "status"],
    "share": ["push", "fetch", "publish", "versions", "get", "diff"],
    "metrics": ["metrics"],
    "ui": ["ui"],
    "team": ["deploy", "pool", "worker"],
    "app": ["completion"],
}  # by module of this folder, in the order in which --help lists them
# what may follow a command; cyclopts names only what must, and calls the rest ARGS
MAY_FOLLOW = {"repro": "[TARGETS...]", "status": "[TARGETS...]", "versions": "[NAME]"}

app = App(
    name="gliaflow",
    help="Run any dvc.yaml in parallel: DVC says what is computed, Prefect says when and where.\n\n"
    "Example: gliaflow repro -j 4",
    version=lambda: gliaflow.__version__,
    help_format="plaintext",  # markdown would take as long to import as all the rest
    suppress_keyboard_interrupt=False,
)
for _place, (_module, _name) in enumerate((module, name) for module, names in COMMANDS.items() for name in names):
    _usage = f"Usage: gliaflow {_name} [OPTIONS] {MAY_FOLLOW[_name]}" if _name in MAY_FOLLOW else None
    app.command(f"gliaflow.cli.{_module}:{_name}", name=_name, sort_key=_place, usage=_usage)


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a script that has the shell complete commands and flags of gliaflow.

    Example: gliaflow completion bash > ~/.local/share/bash-completion/completions/gliaflow

    Args:
        shell: The shell to complete in.
    """
    print(app.generate_completion(shell=shell), end="")


def main() -> None:
    """Parse `sys.argv`, call the command, and exit.

    Exit codes: 0; 1 a stage failed; 2 what the user must change; 75 what may succeed later; 130 Ctrl-C. A bug keeps its
    traceback and exits 1.
    """
    for name, value in TELEMETRY.items():  # neither DVC nor Prefect tells anybody that it was used, unless the user
        os.environ.setdefault(name, value)  # wants it to
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks an arrow shows a question mark
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        for names in COMMANDS.values():
            for name in names:
                _ = app[name]  # loaded, so that its docstring is known
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except CycloptsError as error:
        _end(2, f"{one_line(error)} Try --help.")
    except GliaflowError as error:
        _end(error.exit_code, str(error))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains as it ends
        sys.exit(UNHEARD)
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
