"""Git, as a command that says in one line what went wrong."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from stages.errors import UserError


def git(
    root: Path | str,
    *line: str,
    check: bool = True,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `git` in the folder `root`; `env` is added to the environment.

    Raises:
        UserError: it failed, if `check`.
    """
    quiet = {"GIT_TERMINAL_PROMPT": "0"}  # nobody sits there to answer
    ended = subprocess.run(
        ["git", *line],
        cwd=root,
        capture_output=True,
        text=True,
        input=input,
        check=False,
        env={**os.environ, **quiet, **(env or {})},
    )
    if check and ended.returncode:
        raise UserError(" ".join(ended.stderr.split()) or f"git {line[0]} failed")
    return ended
