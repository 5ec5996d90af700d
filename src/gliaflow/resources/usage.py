"""What a tree of processes uses: seconds of CPUs, memory, bytes read and written. Of the standard library alone.

The parent of the tree asks: Linux adds the CPU seconds and the bytes of a process to those of its parent, when that has
waited for it. Memory is looked at now and then, as the sum of proportional sets: a page that several processes share is
divided among them. What comes and goes between two looks is seen if it is one process: the kernel keeps its peak.
"""

import os
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

FIRST_SECONDS = 0.1  # until the first look; each later one is twice as far away
MOST_SECONDS = 1.0
COST = 50  # a look is followed by as many times what it took, so that it costs 2 % of a CPU at most
KIB = 1024
PEAK_UNIT = 1 if sys.platform == "darwin" else KIB  # bytes, of what getrusage tells


class Usage(TypedDict):
    """What a tree has used."""

    wall_seconds: float
    cpu_seconds: float
    peak_bytes: int
    """Of memory, the most at one moment."""
    read_bytes: int | None
    """By system calls, from whatever can be read; None where the system does not tell."""
    written_bytes: int | None


class Meter:
    """Measures the descendants of this process from now on."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._cpu, self._bytes = _cpu_seconds(), _bytes()
        self._peak, self._pause = 0, FIRST_SECONDS
        self._next = self._began + self._pause

    @property
    def due(self) -> float:
        """Seconds until the next look."""
        return max(self._next - time.monotonic(), 0.0)

    def look(self) -> None:
        """Look at the memory, if it is time."""
        began = time.monotonic()
        if began < self._next:
            return
        self._peak = max(self._peak, sum(map(_memory, descendants(os.getpid()))))
        ended = time.monotonic()
        self._pause = min(2 * self._pause, MOST_SECONDS)
        self._next = ended + max(self._pause, COST * (ended - began))

    def read(self) -> Usage:
        """What was used by now, by processes that this one has waited for; and by all, of memory."""
        whole = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * PEAK_UNIT
        read, written = (
            None if before is None or now is None else max(now - before, 0)
            for before, now in zip(self._bytes, _bytes(), strict=True)
        )
        return {
            "wall_seconds": time.monotonic() - self._began,
            "cpu_seconds": max(_cpu_seconds() - self._cpu, 0.0),
            "peak_bytes": max(self._peak, whole),
            "read_bytes": read,
            "written_bytes": written,
        }


def descendants(pid: int) -> Iterator[int]:
    """All below a process, as Linux tells; none on other systems."""
    waiting = [pid]
    while waiting:
        with suppress(OSError):
            for thread in Path(f"/proc/{waiting.pop()}/task").iterdir():
                with suppress(OSError):
                    found = [*map(int, (thread / "children").read_bytes().split())]
                    waiting += found
                    yield from found


def _memory(pid: int) -> int:
    """Bytes of a process; 0 if it has ended."""
    with suppress(OSError, ValueError, IndexError):
        with suppress(FileNotFoundError):
            _, pss, rest = Path(f"/proc/{pid}/smaps_rollup").read_bytes().partition(b"\nPss:")
            if pss:
                return int(rest.split(None, 1)[0]) * KIB
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * resource.getpagesize()
    return 0


def _cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _bytes() -> tuple[int | None, int | None]:
    """Read and written by this process and those that it has waited for."""
    with suppress(OSError, ValueError, KeyError):
        found = dict(line.split(b": ") for line in Path("/proc/self/io").read_bytes().splitlines())
        return int(found[b"rchar"]), int(found[b"wchar"])
    return None, None
