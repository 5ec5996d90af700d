"""Whether the program that a stage runs can start, before anything of the stage is touched; and why one failed."""

import os
import platform
import re
import shlex
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from gliaflow.errors import CannotRun, UserError, cut, one_line

FIRST_WORD = re.compile(r"\s*(?:[A-Za-z_]\w*=[\w./:-]*\s+)*([\w./+-]+)(?=\s|$)(?!\s*\()")
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")  # that have `command -v`
NO_SHELLS = ("false", "nologin", "true")  # what SHELL may name, of users who are to have none
MAY_FAIL = re.compile(r"[;|\n]|(?<!&)&(?!&)")  # a line that goes on after its first program
SEVERAL = re.compile(r"[;|&\n]")  # a line of more than one program
NO_PROGRAM, NOT_FOUND = 126, 127  # exit codes of a shell: a file that does not execute; none of that name
MISUSED = 2  # that of a shell which takes a file of another language for a script of its own
SHOWN = 30  # columns of a command in a message about its folder
HEAD = 4096  # bytes of a program that are looked at
ELF, PT_INTERP = b"\x7fELF", 3
CPUS = {3: "i386", 8: "mips", 20: "ppc", 21: "ppc64le", 22: "s390x", 40: "arm", 62: "x86_64", 183: "aarch64"}
CPUS |= {243: "riscv64", 258: "loongarch64"}
ALIASES = {"amd64": "x86_64", "arm64": "aarch64", "i686": "i386", "armv7l": "arm", "ppc64": "ppc64le"}
RUN_AS_WELL = {("x86_64", "i386"), ("aarch64", "arm")}  # programs of the second, on a CPU of the first
SAYS = re.compile(r"^(?P<who>[^\s:]*?)(?:(?::| )\s?(?:line )?\d+|\[\d+\]|(?<=env)):\s?(?P<what>.+)$")  # a shell, or env
NOISE = re.compile(  # last lines that tell less than those before
    r"^\W*$|^g?make(\[\d+\])?: |^Execution halted|^Calls: |^\s+at |^Node\.js v|^note: run with|^\s*\^|^Aborted|^Killed"
)
FRAME = re.compile(r'^\s*File ".*", line \d')  # of Python's tracebacks
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])|[\x00-\x08\x0b-\x1f\x7f]")


class Obstacle(NamedTuple):
    """What keeps a program from starting."""

    what: str
    advice: str
    code: int = NO_PROGRAM  # with which a shell would tell of it

    def __str__(self) -> str:
        return f"{self.what}; {self.advice}"


def check_program(line: str, shell: str, cwd: str, environment: Mapping[str, str]) -> None:
    """Look up the program that the first command of a stage starts; what is no plain word is left to the shell.

    Raises:
        CannotRun: there is no such program, or something keeps it from starting.
        UserError: there is no folder to run in.
    """
    check_folder(cwd, line)
    match = FIRST_WORD.match(line)
    if match is None or Path(shell).name not in SHELLS or MAY_FAIL.search(line) or "PATH=" in line[: match.start(1)]:
        return
    found = obstacle(match[1], cwd, environment)
    if found and "/" not in match[1]:  # it may be a builtin or a word of the language
        ask = [shell, "-c", 'command -v -- "$1"', shell, match[1]]
        env, nothing = dict(environment), subprocess.DEVNULL
        if not subprocess.run(ask, cwd=cwd, env=env, stdin=nothing, capture_output=True, check=False).returncode:
            return
    if found:
        raise CannotRun(line, found.code, str(found))


def check_folder(cwd: str, line: str) -> None:
    """Look at the folder that a stage's `line` runs in.

    Raises:
        UserError: it is not there, is none, or may not be entered.
    """
    where = f"'{cwd}', in which '{cut(one_line(line), SHOWN)}' is to run,"
    try:
        there = Path(cwd).is_dir()
    except PermissionError:
        there = True
    if not there:
        kind = "is no folder" if os.path.lexists(cwd) else "is not there"
        raise UserError(f"{where} {kind}; make it or change `wdir:` in dvc.yaml")
    if not os.access(cwd, os.X_OK):
        raise UserError(f"{where} may not be entered by you; chmod it or change `wdir:` in dvc.yaml")


def check_shell(shell: str, cwd: str, environment: Mapping[str, str]) -> None:
    """Look at the shell that runs a stage's commands: DVC takes the one that the variable SHELL names.

    Raises:
        UserError: it cannot start, or runs no commands.
    """
    found = obstacle(shell, cwd, environment)
    if found or Path(shell).name in NO_SHELLS:
        why = found.what if found else f"'{shell}' runs no commands"
        raise UserError(f"{why}, and SHELL names it: set SHELL to a shell, as /bin/sh")


def obstacle(word: str, cwd: str, environment: Mapping[str, str]) -> Obstacle | None:
    """What keeps the program of this name or path from starting, if it can be known before."""
    if "/" in word:
        return _of_file(Path(cwd, word), word, cwd, environment)
    first: Path | None = None  # of that name, although it does not execute
    for path in _on_path(word, cwd, environment):
        if os.access(path, os.X_OK):
            return _of_file(path, str(path), cwd, environment)
        first = first or path
    if first:
        return _of_file(first, str(first), cwd, environment)
    if _is_file(Path(cwd, word)):
        return Obstacle(
            f"there is no command '{word}' on the PATH", f"call the file of this folder ./{word}", NOT_FOUND
        )
    return _none(word)


def _on_path(word: str, cwd: str, environment: Mapping[str, str]) -> Iterator[Path]:
    folders = environment.get("PATH", os.defpath).split(os.pathsep)
    every = (os.path.join(cwd, folder, word) for folder in folders)  # noqa: PTH118 quicker
    yield from map(Path, filter(os.path.isfile, every))  # those that this user may not see are none


def _is_file(path: Path) -> bool:
    """Whether it is one, as far as this user may know."""
    try:
        return path.is_file()
    except PermissionError:
        return False


def _none(word: str) -> Obstacle:
    return Obstacle(f"there is no command '{word}'", "install it or change `cmd:`", NOT_FOUND)


def _of_file(path: Path, name: str, cwd: str, environment: Mapping[str, str]) -> Obstacle | None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        if path.is_symlink():
            what = f"'{name}' is a link to '{path.readlink()}', which is not there"
            return Obstacle(what, "change the link or `cmd:`", NOT_FOUND)
        return _none(name)
    except PermissionError:
        folder = next(one for one in reversed(path.parents) if not os.access(one, os.X_OK))
        return Obstacle(f"'{name}' cannot be reached: you may not enter '{folder}'", "chmod it or change `cmd:`")
    except OSError as error:  # a file in place of a folder, a circle of links, a name that is too long
        return Obstacle(f"'{name}' cannot be reached: {error.strerror}", "change `cmd:`")
    if stat.S_ISDIR(mode):
        return Obstacle(f"'{name}' is a folder, no program", "change `cmd:`")
    if sys.platform == "linux" and os.statvfs(path).f_flag & os.ST_NOEXEC:
        return Obstacle(f"'{name}' lies on a file system that is mounted noexec", "mount it anew or move the file")
    if not mode & (stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH):
        return Obstacle(f"'{name}' is not executable", f"chmod +x {shlex.quote(name)}")
    if not os.access(path, os.X_OK):
        return Obstacle(f"'{name}' is not executable for you", "have its owner chmod it, or change `cmd:`")
    return _of_interpreter(path, name, cwd, environment)


def _of_interpreter(path: Path, name: str, cwd: str, environment: Mapping[str, str]) -> Obstacle | None:
    """What keeps the program from starting that the system starts in place of this one."""
    head = _head(path)
    if loader := _loader(head):
        if not Path(loader).exists():
            return Obstacle(f"'{name}' needs the loader {loader}, which is not there", "install it", NOT_FOUND)
        return None
    if not head.startswith(b"#!"):
        return None
    first = head.split(b"\n", 1)[0].decode(errors="replace")
    if first.endswith("\r"):
        return Obstacle(
            f"the first line of '{name}' ends in a carriage return", "save it with Unix line ends", NOT_FOUND
        )
    interpreter, *arguments = first[2:].split() or [""]
    if not _is_file(Path(cwd, interpreter)):
        return Obstacle(f"'{name}' needs {interpreter}, which is not there", "change its #! line", NOT_FOUND)
    if not os.access(Path(cwd, interpreter), os.X_OK):
        return Obstacle(f"'{name}' needs {interpreter}, which is not executable", "change its #! line")
    if Path(interpreter).name == "env":
        arguments = arguments[1:] if arguments[:1] == ["-S"] else arguments
        plain = arguments and re.fullmatch(r"[\w.+]+", arguments[0])
        if plain and not any(_on_path(arguments[0], cwd, environment)):
            what = f"'{name}' needs the command '{arguments[0]}', which is not there"
            return Obstacle(what, "install it or change its #! line", NOT_FOUND)
    return None


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:  # a program that may be executed and not read
        return b""


def _loader(head: bytes) -> str:
    """The program that loads this one, if one does, of programs for CPUs of 64 bits."""
    if not head.startswith(ELF + b"\x02\x01") or len(head) < 64:
        return ""
    (table,), (size, number) = struct.unpack_from("<Q", head, 32), struct.unpack_from("<HH", head, 54)
    for start in range(table, min(table + size * number, len(head) - 55), size or HEAD):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", head, start)
        if kind == PT_INTERP:
            return head[offset : offset + length].rstrip(b"\0").decode(errors="replace")
    return ""


def _oddity(word: str, cwd: str, environment: Mapping[str, str]) -> Obstacle | None:
    """What is odd about a program that started, if it did, and failed."""
    paths = filter(_is_file, [Path(cwd, word)]) if "/" in word else _on_path(word, cwd, environment)
    path = next(iter(paths), None)
    head = _head(path) if path else b""
    if head.startswith(ELF) and len(head) > 20:
        theirs = CPUS.get(int.from_bytes(head[18:20], "little" if head[5] == 1 else "big"), "another CPU")
        ours = ALIASES.get(platform.machine().lower(), platform.machine())
        if theirs != ours and (ours, theirs) not in RUN_AS_WELL:
            return Obstacle(f"'{word}' is a program for {theirs}, and this machine is {ours}", "build it for this one")
    elif head and b"\0" in head:
        return Obstacle(f"'{word}' is neither a script nor a program of this system", "change `cmd:`")
    elif head and not head.startswith((b"#!", ELF)):
        return Obstacle(f"'{word}' has no #! line, so the shell took it for its own", "add one", MISUSED)
    return None


def why_not_run(
    line: str, lines: Sequence[str], code: int, shell: str, cwd: str, environment: Mapping[str, str]
) -> Obstacle | None:
    """What kept a program of the line from starting, if that is why it ended with `code`; `lines` are its last ones."""
    if code not in (MISUSED, NO_PROGRAM, NOT_FOUND) or Path(shell).name not in SHELLS:
        return None
    match = FIRST_WORD.match(line)
    alone = "" if match is None or SEVERAL.search(line) or "PATH=" in line[: match.start(1)] else match[1]
    odd = _oddity(alone, cwd, environment) if alone else None
    if odd and odd.code == MISUSED and code != NO_PROGRAM and alone in telling(lines):
        return odd
    for word in [] if code == MISUSED else [*_named(lines, shell, line), *([alone] if "/" in alone else [])]:
        found = obstacle(word, cwd, environment) or _oddity(word, cwd, environment)
        if found and found.code == code:
            return found
    return None


def _named(lines: Sequence[str], shell: str, line: str) -> Iterator[str]:
    """The words that may be a program in what a shell, or env, said last."""
    match = SAYS.match(telling(lines))
    if match is None:
        return
    ours = Path(match["who"]).name in (Path(shell).name, "env") and not re.search(r"\bcd\b|\bpushd\b", line)
    for part in reversed(match["what"].split(": ")):
        word = part.strip("‘’'\"`")
        if re.fullmatch(r"[\w./+-]*[A-Za-z][\w./+-]*", word) and (ours or "/" not in word or word.startswith("/")):
            yield word


def telling(lines: Sequence[str]) -> str:
    """The one of a command's last lines that tells why it failed: the error of a traceback, or the last with a word."""
    plain = [ESCAPES.sub("", line).rstrip() for line in lines]
    frames = [number for number, line in enumerate(plain) if FRAME.match(line)]
    after = plain[frames[-1] + 1 :] if frames else []
    raised = next((line for line in after if line and not line[0].isspace() and line[0] not in "|+"), "")
    spoken = [line for line in plain if re.search(r"\w", line)]
    return raised or next(
        (line.strip() for line in reversed(spoken) if not NOISE.search(line)), (spoken or [""])[-1].strip()
    )
