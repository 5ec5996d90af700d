"""What programs open that are not Python, as strace tells it where that is installed and may look at processes."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gliaflow.audit.watch.hook.sitecustomize import source
from gliaflow.audit.watch.notes import Opened

CALLS = (
    "open openat openat2 creat rename renameat renameat2 link linkat symlink symlinkat truncate execve execveat chdir "
    "fchdir fork vfork clone clone3"
)
NAME = "trace"  # of the files, one for each process
APART = "-ff"  # the calls of each process in a file of its own
OPTIONS = (
    "-f",
    APART,
    "-qq",
    "-y",
    "-e",
    f"trace={','.join(f'?{call}' for call in CALLS.split())}",
    "-e",
    "signal=none",
)
QUICKLY = "--seccomp-bpf"  # stops a program at these calls alone; strace 5.3 and later
STARTS_SECONDS = 10
LINE = re.compile(r"(\w+)\((.*)\)\s+= (\d+)(?:<(.*)>)?$")
NAMED = re.compile(r'(?:(?:AT_FDCWD|\d+)(?:<([^>]*)>)?, )?"((?:[^"\\]|\\.)*)"')  # a path, and what it is seen from
NUMBERED = re.compile(r"\d+<(.*)>")
ESCAPED = re.compile(rb"\\([0-7]{1,3}|.)")
LETTERS = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"v": b"\v", b"f": b"\f"}
WRITING = re.compile("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND")
OPENS = frozenset({"open", "openat", "openat2", "creat"})
FORKS = frozenset({"fork", "vfork", "clone", "clone3"})
READS = {"execve": 0, "execveat": 0, "link": 0, "linkat": 0}  # which of the paths of a call is read
WRITES = {
    "rename": 1,
    "renameat": 1,
    "renameat2": 1,
    "link": 1,
    "linkat": 1,
    "symlink": 1,
    "symlinkat": 1,
    "truncate": 0,
}


class _Call(NamedTuple):
    """A call of the system that succeeded."""

    name: str
    arguments: str
    result: int
    opened: str
    """The file that it opened."""


@cache
def prefix() -> tuple[str, ...]:
    """How a line of a process begins that strace follows; nothing where it is not there, or may not follow any."""
    if not (program := shutil.which("strace")):
        return ()
    for options in ((QUICKLY, *OPTIONS), OPTIONS):
        line = [program, *(one for one in options if one != APART), "-o", "/dev/null", "--", "true"]
        try:
            ended = subprocess.run(line, capture_output=True, timeout=STARTS_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return ()
        if not ended.returncode and not ended.stderr:
            return (program, *options)
    return ()


def opened(folder: Path, start: Path) -> Opened:
    """What the processes opened whose calls strace wrote into `folder`; the first ones started in `start`."""
    calls = {int(path.suffix[1:]): list(_calls(path)) for path in folder.glob(f"{NAME}.*")}
    children = {call.result for those in calls.values() for call in those if call.name in FORKS}
    read, written = set[Path](), set[Path]()
    waiting = [(pid, start) for pid in calls if pid not in children]
    while waiting:
        pid, here = waiting.pop()
        for call in calls.get(pid, ()):
            if call.name in FORKS:
                waiting.append((call.result, here))
            elif call.name == "chdir":
                here /= _paths(call, here)[0]
            elif call.name == "fchdir" and (match := NUMBERED.match(call.arguments)):
                here = Path(_plain(match[1]))
            elif call.name in OPENS:
                writes = call.name == "creat" or WRITING.search(NAMED.sub("", call.arguments))
                path = _plain(call.opened)
                (written if writes else read).add(Path(path if writes else source(path)))
            else:
                paths = _paths(call, here)
                read |= {paths[READS[call.name]]} if call.name in READS else set()
                written |= {paths[WRITES[call.name]]} if call.name in WRITES else set()
    return Opened(frozenset(read), frozenset(written), len(calls))


def _calls(path: Path) -> Iterator[_Call]:
    for line in path.read_text(errors="surrogateescape").split("\n"):
        if match := LINE.match(line):
            yield _Call(match[1], match[2], int(match[3]), match[4] or "")


def _paths(call: _Call, here: Path) -> list[Path]:
    """The paths that the arguments name, seen from the folder `here` where no other is named."""
    return [here / _plain(base) / _plain(text) for base, text in NAMED.findall(call.arguments)]


def _plain(text: str) -> str:
    """The text that strace wrote with escapes."""

    def one(match: re.Match[bytes]) -> bytes:
        found = match[1]
        return bytes([int(found, 8) & 0xFF]) if found.isdigit() else LETTERS.get(found, found)

    return os.fsdecode(ESCAPED.sub(one, os.fsencode(text)))
