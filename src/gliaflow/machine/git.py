"""Git, as a command that says in one line what went wrong."""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakSet

from gliaflow.errors import TransientError, UserError, one_line
from gliaflow.machine.supervisor import send_to_tree

FAR_SECONDS = 600.0
LASTING = re.compile(
    "remote ref|not appear to be|not a git|does not exist|not found|denied|rejected|authentication", re.IGNORECASE
)
# what a hook or another git sets for its own repository
OTHERS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE")
WHO = {f"GIT_{who}_{what}": "gliaflow" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}

running: set["subprocess.Popen[str]"] = set()
interrupted: "WeakSet[subprocess.Popen[str]]" = WeakSet()  # those that `end` ended


def end() -> None:
    """End every git that still runs: those who started it get an `InterruptedError`, and try no more."""
    for process in list(running):
        interrupted.add(process)
        _kill(process)


def _kill(process: "subprocess.Popen[str]") -> None:
    if process.returncode is None:  # nobody has waited for it, so the pid is still its own
        send_to_tree(signal.SIGKILL, process.pid)


def remote(root: Path | str) -> str | None:
    """The git remote that a team shares: origin, else the first; None if there is none."""
    names = git(root, "remote").stdout.split()
    return "origin" if "origin" in names else next(iter(names), None)


def top(root: Path | str) -> Path:
    """The root of the git repository that the folder `root` lies in.

    Raises:
        UserError: it lies in none.
    """
    return Path(git(root, "rev-parse", "--show-toplevel").stdout.rstrip("\n"))


def git(
    root: Path | str,
    *line: str,
    check: bool = True,
    input: str | None = None,
    env: Mapping[str, str] | None = None,
    far: bool = False,
    seconds: float | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run `git` in the folder `root`; `env` is added to the environment; `far` says that it talks to another host.

    One that is `far` is ended after `seconds`, or `FAR_SECONDS`.

    Raises:
        UserError: it failed, if `check`.
        TransientError: so it did, `far`, and not for a reason that lasts; or it took too long.
        InterruptedError: `end` was called meanwhile.
    """
    seconds = (seconds or FAR_SECONDS) if far else None
    quiet = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C.UTF-8", "LANGUAGE": ""}  # nobody answers; English is read here
    with subprocess.Popen(
        ["git", *line],
        cwd=root,
        env={**{name: text for name, text in os.environ.items() if name not in OTHERS}, **quiet, **(env or {})},
        stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        running.add(process)
        try:
            output, errors = process.communicate(input, seconds)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise TransientError(f"git {line[0]} took longer than {seconds:g} s") from None
        except BaseException:
            _kill(process)
            process.wait()  # which Popen does not do after Ctrl-C
            raise
        finally:
            running.discard(process)
    if process in interrupted:
        raise InterruptedError("interrupted")
    ended = subprocess.CompletedProcess(["git", *line], process.returncode, output, errors)
    if check and ended.returncode:
        passing = far and not LASTING.search(ended.stderr)
        raise (TransientError if passing else UserError)(one_line(ended.stderr) or f"git {line[0]} failed")
    return ended
