"""What runs in a job: the commands of a stage as on any host, and at the end one file that tells how they ended.

Started as a program on the node, from the package on the shared file system. It needs neither DVC nor a network; all
that it imports is of the standard library but this package's own. Its folder holds:

job.json     what to run, see `Work`
log          what the commands print, as it comes
began        there once the commands have started; the name of the node is in it
ended        there, by rename, once they have ended, see `End`
"""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TypedDict

from gliaflow.machine.process import Exit, Process
from gliaflow.machine.spawn import Supervisor

WORK, LOG, BEGAN, ENDED = "job.json", "log", "began", "ended"
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Work(TypedDict):
    """What a job has to do."""

    commands: list[list[str]]
    cwd: str
    env: dict[str, str]
    """Beside what the job has from Slurm."""
    timeout: float | None
    """Seconds."""
    outs: list[str]
    """Paths, absolute."""


class End(TypedDict):
    """How the commands ended."""

    exit: dict[str, object]
    """The fields of an `Exit`."""
    place: int
    """Which command ran last, from 0."""
    node: str
    job: str
    when: float
    """Seconds since 1970."""
    signalled: bool
    """Whether Slurm told the job to end."""
    outs: list[list[int]]
    """What lies at each output then, see `signature`."""


def main(folder: str) -> None:
    """Run the job of a folder; its exit code is that of the last command."""
    here = Path(folder)
    try:
        work: Work = json.loads((here / WORK).read_text())
    except FileNotFoundError:  # whoever wanted it is gone
        return
    node = socket.gethostname()
    replace(here / BEGAN, node)
    supervisor = Supervisor()
    signalled = list[int]()
    environment = {**os.environ, **work["env"]}
    process = supervisor.spawn(work["commands"], work["cwd"], environment)
    for number in SIGNALS:
        signal.signal(number, _passing(process, signalled))
    with (here / LOG).open("ab", buffering=0) as log:

        def on_line(text: str, whole: bool) -> None:
            log.write((text + ("\n" if whole else "\r")).encode(errors="replace"))

        places = list[int]()
        ended = process.run(on_line, work["timeout"], lambda: places.append(len(places)))
        os.fsync(log.fileno())
    supervisor.close()
    told: End = {
        "exit": asdict(ended),
        "place": places[-1],
        "node": node,
        "job": os.environ.get("SLURM_JOB_ID", ""),
        "when": time.time(),
        "signalled": bool(signalled),
        "outs": [signature(Path(path)) for path in work["outs"]],
    }
    replace(here / ENDED, json.dumps(told))
    sys.exit(ended.exit_code)


def _passing(process: Process, signalled: list[int]) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, _: FrameType | None) -> None:
        signalled.append(number)
        process.stop(signal.SIGTERM)

    return handle


def replace(path: Path, text: str) -> None:
    """Write a file that is there as a whole, or not at all; and on the disk, for whoever reads it on another host."""
    partial = path.with_name(f".{path.name}")
    with partial.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def signature(path: Path) -> list[int]:
    """What tells an output from another: how many files there are, their bytes, and the newest time in nanoseconds."""
    files = [*_files(path)]
    stats = [one.stat() for one in files]
    return [len(files), sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)]


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (one for one in path.rglob("*") if one.is_file())
    elif path.exists():
        yield path


def read_exit(end: End) -> Exit:
    """The exit that a job told of."""
    found = dict(end["exit"])
    refused = found.pop("refused", None)
    return Exit(**found, refused=(refused[0], refused[1]) if isinstance(refused, list) else None)  # type: ignore[arg-type]
