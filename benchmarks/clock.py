"""What a command takes from prompt to prompt: seconds, and CPU and memory of all its processes together."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

SAMPLE_SECONDS = 0.2  # a sample takes 2 ms of one CPU
LOOPS, LOOP_RUNS = 3_000_000, 3
LAST_LINES = 20  # of a failed command, to be shown
MEGA = 1e6


class Took(NamedTuple):
    """Of one run, or the medians of several."""

    seconds: float
    cpu: float  # seconds of all processes
    megabytes: float  # the peak
    runs: int = 1

    @classmethod
    def typical(cls, runs: Sequence["Took"]) -> "Took":
        """The medians."""
        seconds, cpu, megabytes, _ = map(median, zip(*runs, strict=True))
        return cls(seconds, cpu, megabytes, len(runs))


def timed(line: Sequence[str], folder: Path, environment: dict[str, str], log: Path | None = None) -> Took:
    """Run a command that must succeed, without a terminal; print what it took, and the load before.

    What it says goes to `log`, which is beside the folder by default.
    """
    os.sync()  # what was written before is not written meanwhile
    output = log or folder.with_name(f"{folder.name}.log")
    load, began = os.getloadavg()[0], time.perf_counter()
    with output.open("wb") as file:
        process = subprocess.Popen(
            line, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    with _peak(process.pid) as peak:
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        last = "\n".join(output.read_text(errors="replace").splitlines()[-LAST_LINES:])
        sys.exit(f"{last}\nerror: {' '.join(line)}: exit {process.returncode} in {folder}")
    megabytes, cpu = max(peak) / MEGA, used.ru_utime + used.ru_stime
    print(
        f"{output.stem}: {seconds:.2f} s, CPU {cpu:.2f} s, peak {megabytes:.0f} MB; load before {load:.1f}", flush=True
    )
    return Took(seconds, cpu, megabytes)


@contextlib.contextmanager
def _peak(pid: int) -> Iterator[list[int]]:
    """Bytes that a process and all below it hold together, sampled from time to time until the block ends.

    What the system itself counts (`ru_maxrss`) would begin with what this process holds, since it is forked from it.
    """
    found, ended = [0], threading.Event()

    def sample() -> None:
        while not ended.wait(SAMPLE_SECONDS):
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                found.append(sum(_held([root, *root.children(recursive=True)])))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def _held(processes: Iterable[psutil.Process]) -> Iterator[int]:
    """The bytes of each; a page that several share counts as a part of each."""
    for process in processes:
        with contextlib.suppress(psutil.Error):
            yield process.memory_full_info().pss


def yardstick() -> float:
    """Seconds of a fixed loop of Python: two that differ show that the machine had other work."""
    return median(_loop() for _ in range(LOOP_RUNS))


def _loop() -> float:
    began = time.perf_counter()
    sum(n * n % 7 for n in range(LOOPS))
    return time.perf_counter() - began
