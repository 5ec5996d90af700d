"""Whether the program that a stage runs is there, before anything of the stage is touched."""

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from gliaflow.errors import UserError

FIRST_WORD = re.compile(r"\s*(?:[A-Za-z_]\w*=[\w./:-]*\s+)*([\w./+-]+)(?=\s|$)(?!\s*\()")
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")  # that have `command -v`
MAY_FAIL = re.compile(r"[;|\n]|(?<!&)&(?!&)")  # a line that goes on after its first program


def check_program(line: str, shell: str, cwd: str, environment: Mapping[str, str]) -> None:
    """Look up the program that the first command of a stage starts; what is no plain word is left to the shell.

    Raises:
        UserError: there is no such program, or no folder to run in.
    """
    match = FIRST_WORD.match(line)
    if not Path(cwd).is_dir():
        raise UserError(f"'{cwd}', in which '{line}' is to run, is not there; make it or change `wdir:` in dvc.yaml")
    if match is None or Path(shell).name not in SHELLS or MAY_FAIL.search(line) or "PATH=" in line[: match.start(1)]:
        return
    word = match[1]
    if shutil.which(str(Path(cwd) / word) if "/" in word else word, path=environment.get("PATH")):
        return
    ask = [shell, "-c", 'command -v -- "$1"', shell, word]  # it may be a builtin or a word of the language
    if subprocess.run(ask, cwd=cwd, env=dict(environment), capture_output=True, check=False).returncode:
        raise UserError(f"'{line}': there is no command '{word}'; install it or change `cmd:` in dvc.yaml")
