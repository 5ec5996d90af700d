"""What runs in a job: the commands of a stage as on any host, and at the end one file that tells how they ended.

Started as a program on the node, from the package on the shared file system. It needs neither DVC nor a network; all
that it imports is of the standard library but this package's own. A job may run several stages, one after another. The
folder of each holds:

job.json     what to run, see `Work`; the job renames it before it begins, or whoever takes the stage away from it
stop         there if this stage is to end, and not the others
log          what the commands print, as it comes
began        there once the commands have started; the name of the node is in it
ended        there, by rename, once they have ended, see `End`
"""

import json
import os
import signal
import socket
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TypedDict

from gliaflow.machine.process import Exit, Process
from gliaflow.machine.spawn import Supervisor

WORK, LOG, BEGAN, ENDED = "job.json", "log", "began", "ended"
CLAIMED, STOP = "claimed.json", "stop"
STOP_SECONDS = 1.0  # between two looks for `stop`
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


class Job:
    """The stages of a job, and what runs of them."""

    def __init__(self, folders: Sequence[str]) -> None:
        self.supervisor = Supervisor()
        self.signalled = False
        self.code = 0
        self._left = deque(map(Path, folders))
        self._running = set[Process]()

    def work(self) -> None:
        """Run one stage after another, until none is left or Slurm tells the job to end."""
        while not self.signalled:
            try:
                here = self._left.popleft()
            except IndexError:
                return
            try:
                (here / WORK).rename(here / CLAIMED)
            except FileNotFoundError:  # whoever wanted it is gone, or has it run in another job
                continue
            try:
                self.code = self._run(here) or self.code
            except Exception:  # a full disk, say: the run finds no word of its end, and what is printed here
                self.code = 1
                traceback.print_exc()

    def hear(self, number: int, _: FrameType | None) -> None:  # noqa: ARG002 - what ends a job ends its stages
        """Pass a signal on to all that runs; nothing more begins."""
        self.signalled = True
        for process in list(self._running):
            process.stop(signal.SIGTERM)

    def _run(self, here: Path) -> int:
        """Run one stage, and tell how it ended."""
        work: Work = json.loads((here / CLAIMED).read_text())
        node = socket.gethostname()
        replace(here / BEGAN, node)
        process = self.supervisor.spawn(work["commands"], work["cwd"], {**os.environ, **work["env"]})
        self._running.add(process)
        if self.signalled:
            process.stop(signal.SIGTERM)
        over = threading.Event()
        threading.Thread(target=_watch, args=(here / STOP, process, over), daemon=True).start()
        places = list[int]()
        try:
            with (here / LOG).open("ab", buffering=0) as log:

                def on_line(text: str, whole: bool) -> None:
                    log.write((text + ("\n" if whole else "\r")).encode(errors="replace"))

                ended = process.run(on_line, work["timeout"], lambda: places.append(len(places)))
                os.fsync(log.fileno())
        finally:
            over.set()
            self._running.discard(process)
            process.close()  # whose commands must not go on, if nobody can tell what they print
        told: End = {
            "exit": asdict(ended),
            "place": places[-1],
            "node": node,
            "job": os.environ.get("SLURM_JOB_ID", ""),
            "when": time.time(),
            "signalled": self.signalled,
            "outs": [signature(Path(path)) for path in work["outs"]],
        }
        replace(here / ENDED, json.dumps(told))
        return ended.exit_code


def main(width: str, *folders: str) -> None:
    """Run the stages of these folders, `width` of them at once; the exit code is that of the last which failed."""
    job = Job(folders)
    for number in SIGNALS:
        signal.signal(number, job.hear)
    lanes = [threading.Thread(target=job.work) for _ in range(int(width))]
    for lane in lanes:
        lane.start()
    for lane in lanes:
        lane.join()
    job.supervisor.close()
    sys.exit(job.code)


def _watch(stop: Path, process: Process, over: threading.Event) -> None:
    """Have the process end once the file `stop` is there."""
    while not over.wait(STOP_SECONDS):
        if stop.exists():
            process.stop(signal.SIGTERM)
            return


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
    stats = [*_stats(path)]
    return [len(stats), sum(one.st_size for one in stats), max((one.st_mtime_ns for one in stats), default=0)]


def _stats(path: Path) -> Iterator[os.stat_result]:
    """Of all files there, but for those that vanish meanwhile."""
    for one in path.rglob("*") if path.is_dir() else [path]:
        with suppress(OSError):
            if one.is_file():
                yield one.stat()


def read_exit(end: End) -> Exit:
    """The exit that a job told of."""
    found = dict(end["exit"])
    refused = found.pop("refused", None)
    return Exit(**found, refused=(refused[0], refused[1]) if isinstance(refused, list) else None)  # type: ignore[arg-type]
