"""The command `gliaflow`: its commands, each imported when it is called, and its errors, one line each."""

import os
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from typing import Literal, NoReturn, TextIO

from cyclopts import App, CycloptsError

import gliaflow
from gliaflow.errors import GliaflowError, Interrupted, advice, one_line
from gliaflow.signals import ended_by_signals

SIGNALLED = 128  # what a shell adds to the number of the signal that ended a process
STREAMS = 3  # standard input, output and error: descriptors 0, 1, 2
UNHEARD = 141  # and for one that SIGPIPE ended: who read its output has left
TELEMETRY = {"DO_NOT_TRACK": "1", "DVC_NO_ANALYTICS": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
COMMANDS = {
    "repro": ["repro", "status", "check"],
    "many.sweep": ["sweep"],
    "many.search": ["search"],
    "many.gc": ["gc"],
    "share": ["push", "fetch", "publish", "versions", "get", "diff"],
    "metrics": ["metrics"],
    "runs": ["logs", "report", "ui"],
    "team": ["deploy", "pool", "worker"],
    "app": ["completion"],
}  # by module of this folder, in the order in which --help lists them
# what may follow a command; cyclopts names only what must, and calls the rest ARGS
MAY_FOLLOW = {
    **dict.fromkeys(["repro", "status", "check", "sweep"], "[TARGETS...]"),
    "versions": "[NAME]",
    "logs": "[RUN] [STAGES...]",
    "report": "[RUN]",
}

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

    Exit codes: 0; 1 a stage failed; 2 what the user must change; 75 what may succeed later; 130 Ctrl-C, and 128 + N
    after signal N. A bug keeps its traceback and exits 1.
    """
    for name, value in TELEMETRY.items():  # neither DVC nor Prefect tells anybody that it was used, unless the user
        os.environ.setdefault(name, value)  # wants it to
    _open_standard_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks an arrow shows a question mark
    if sys.argv[1:] in ([], ["--help"], ["-h"]):
        for names in COMMANDS.values():
            for name in names:
                _ = app[name]  # loaded, so that its docstring is known
    with ended_by_signals():
        try:
            app(sys.argv[1:], exit_on_error=False, print_error=False)
            sys.stdout.flush()
        except CycloptsError as error:
            _end(2, f"{one_line(error)} Try --help.")
        except GliaflowError as error:
            _end(error.exit_code, str(error))
        except KeyboardInterrupt as error:
            _end_interrupted(error)
        except OSError as error:
            if interrupt := _interrupt(error):
                _end_interrupted(interrupt)
            if isinstance(error, BrokenPipeError):
                _silence(sys.stdout)
                sys.exit(UNHEARD)
            where = f"{error.filename}: " if error.filename else ""
            _end(2, f"{where}{error.strerror or error}{advice(error)}")


def _interrupt(error: BaseException | None) -> KeyboardInterrupt | None:
    """The interrupt at whose end the error came: a terminal that is closed takes no more words."""
    while error:
        if isinstance(error, KeyboardInterrupt):
            return error
        error = error.__context__
    return None


def _end_interrupted(error: KeyboardInterrupt) -> NoReturn:
    """Tell what ended it, and what that left."""
    notes: list[str] = []
    cause: BaseException | None = error
    while cause:
        notes += [note for note in getattr(cause, "__notes__", []) if note not in notes]
        cause = cause.__context__
    number = error.number if isinstance(error, Interrupted) else signal.SIGINT
    _end(SIGNALLED + number, "; ".join([str(error) or "interrupted", *notes]))


def _open_standard_streams() -> None:
    """Who closed one (`>&-`) wants silence; the next file to be opened must not take its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) < STREAMS:
        pass
    os.close(number)
    sys.stdout = sys.stdout or open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.stderr or open(2, "w", closefd=False)  # noqa: SIM115


def _end(code: int, message: str) -> NoReturn:
    with suppress(OSError):  # nobody reads it; the code is told all the same
        print(f"error: {message}", file=sys.stderr, flush=True)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _silence(stream)
    sys.exit(code)


def _silence(stream: TextIO) -> None:
    """Or Python complains as it ends, and exits with a code of its own."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
