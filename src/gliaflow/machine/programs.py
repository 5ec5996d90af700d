"""What can be wrong with what a stage reads and runs, for the user to mend."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gliaflow.errors import BadInput, UserError

FIRST_WORD = re.compile(r"\s*(?:[A-Za-z_]\w*=[\w./:-]*\s+)*([\w./+-]+)(?=\s|$)(?!\s*\()")
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")  # that have `command -v`
MAY_FAIL = re.compile(r"[;|\n]|(?<!&)&(?!&)")  # a line that goes on after its first program

Signature = tuple[int, int, int]


class Missing(UserError):
    """A stage reads what is not there."""

    def __init__(self, address: str, path: str, maker: str | None) -> None:
        declared = f"; '{maker}', which makes it, did not: run that, or get it by `dvc checkout` or `dvc pull`"
        undeclared = (
            " and which no stage declares as an output: list it under the outs of the stage that makes it, or put it "
            "there"
        )
        super().__init__(f"stage '{address}' reads '{path}', which is not there{declared if maker else undeclared}")


class Unclear(BadInput):
    """Nobody knows what a stage read."""

    def __init__(self, address: str, path: str, newest: str) -> None:
        super().__init__(
            f"stage '{address}': '{path}'{newest} changed while it ran, so nobody knows which of the two it read; "
            "nothing was recorded: run it again"
        )


def changed_meanwhile(address: str, path: str) -> str:
    """The warning about a source that something wrote after the run began."""
    return (
        f"'{path}', which stage '{address}' reads, changed since this run began: if a stage makes it, list it under "
        "the outs of that stage, or the two may run side by side"
    )


def signature(path: str) -> Signature | None:
    """What changes when a file is written; None if it is not there."""
    with suppress(OSError):
        found = Path(path).stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


def check_program(line: str, shell: str, cwd: str, environment: Mapping[str, str]) -> None:
    """Look up the program that the first command of a stage starts; what is no plain word is left to the shell.

    Raises:
        UserError: there is no such program, or no folder to run in.
    """
    match = FIRST_WORD.match(line)
    if not Path(cwd).is_dir():
        raise UserError(f"'{cwd}', in which '{line}' is to run, is not there; make it or mend `wdir:` in dvc.yaml")
    if match is None or Path(shell).name not in SHELLS or MAY_FAIL.search(line) or "PATH=" in line[: match.start(1)]:
        return
    word = match[1]
    if shutil.which(str(Path(cwd) / word) if "/" in word else word, path=environment.get("PATH")):
        return
    ask = [shell, "-c", 'command -v -- "$1"', shell, word]  # it may be a builtin or a word of the language
    if subprocess.run(ask, cwd=cwd, env=dict(environment), capture_output=True, check=False).returncode:
        raise UserError(f"'{line}': there is no command '{word}'; install it or mend `cmd:` in dvc.yaml")
