"""Stages as processes, and what becomes of them: what the tests of this room share."""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from gliaflow.machine.process import Exit, Process
from gliaflow.machine.spawn import Supervisor
from gliaflow.terminal.pseudo import Measure
from tests.support.patience import PATIENCE
from tests.support.repos import alive

LONG = 10 * PATIENCE  # seconds that a command sleeps which has to be ended
STUBBORN = f"trap '' TERM; echo ready $$; for i in $(seq {LONG * 5}); do sleep 0.2; done"


class Stages:
    """Spawns stages of shell lines and keeps what they print."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.supervisor = folder, Supervisor()
        self.spawned: list[Process] = []
        self.terminal: Measure | None = None  # to which they print; None for a pipe
        self.partial: list[str] = []  # what stood on unfinished lines

    def spawn(
        self, *lines: str, cwd: Path | None = None, env: Mapping[str, str] | None = None, keep: Sequence[int] = ()
    ) -> Process:
        """A stage of these shell lines."""
        commands = [["/bin/sh", "-c", line] for line in lines]
        environment = os.environ if env is None else env
        made = self.supervisor.spawn(commands, str(cwd or self.folder), environment, keep, terminal=self.terminal)
        self.spawned.append(made)
        return made

    def watch(
        self, process: Process, timeout: float | None = None, seen: Callable[[str], object] = lambda _: None
    ) -> tuple[Exit, list[str]]:
        """Run it to its end; `seen` is called with each whole line."""
        lines: list[str] = []

        def on_line(text: str, whole: bool) -> None:
            (lines if whole else self.partial).append(text)
            if whole:
                seen(text)

        return process.run(on_line, timeout), lines

    def run(self, *lines: str, timeout: float | None = None) -> tuple[Exit, list[str]]:
        """Spawn and run."""
        return self.watch(self.spawn(*lines), timeout)

    def python(self, script: str) -> str:
        """The shell line that runs a script."""
        path = self.folder / f"script{len(list(self.folder.iterdir()))}.py"
        path.write_text(script)
        return f"'{sys.executable}' '{path}'"

    def close(self) -> None:
        for process in self.spawned:
            with suppress(OSError):
                process.stop(signal.SIGKILL)
            process.close()
        self.supervisor.close()


def eventually(happened: Callable[[], bool]) -> bool:
    """Whether it happens in time."""
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def gone(*processes: psutil.Process) -> bool:
    """Whether all end in time."""
    return eventually(lambda: not any(map(alive, processes)))


def end(survivors: list[psutil.Process]) -> None:
    """Kill what should not have been there any more."""
    for survivor in survivors:
        with suppress(psutil.NoSuchProcess):
            survivor.kill()
    psutil.wait_procs(survivors, timeout=PATIENCE)


def free(path: Path) -> bool:
    """Whether nobody holds the lock."""
    with path.open("w") as file, suppress(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def open_files(pid: int | str = "self") -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def supervisor_of(process: Process) -> psutil.Process:
    parent = psutil.Process(process.pid).parent()
    assert parent
    return parent
