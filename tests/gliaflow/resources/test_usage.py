"""What a tree of processes uses: when it is looked at, and what is below a process."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gliaflow.resources import usage
from gliaflow.resources.usage import Meter, descendants


def looks(monkeypatch: pytest.MonkeyPatch, took: float, until: float) -> list[float]:
    """When a meter looks that begins at 0, if each look takes so many seconds."""
    now, found = [0.0], list[float]()

    def look(_: int) -> list[int]:
        found.append(now[0])
        now[0] += took
        return []

    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    monkeypatch.setattr(usage, "descendants", look)
    meter = Meter()
    while now[0] < until:
        meter.look()
        now[0] += max(meter.due, 1e-6)
    return found


def test_it_looks_seldom_and_never_for_more_than_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    found = looks(monkeypatch, took=0.5, until=100)
    assert found[0] == pytest.approx(0.1)
    assert 0.5 * len(found) <= 0.03 * 100


def test_quick_looks_come_twice_as_late_each_time_up_to_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    assert looks(monkeypatch, took=0, until=4) == pytest.approx([0.1, 0.3, 0.7, 1.5, 2.5, 3.5], abs=0.01)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell")
def test_processes_at_once_are_summed_and_what_they_share_counts_once() -> None:
    size = 100 << 20
    both = (
        f"import os, sys; shared = bytearray({size}); reads, writes = os.pipe(); child = os.fork()\n"
        f"own = bytearray({size}); child or os.write(writes, b'x'); child and os.read(reads, 1)\n"
        "child and print(flush=True); sys.stdin.read(); child and os.waitpid(child, 0)"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", both], stdin=pipe, stdout=pipe) as parent:
        assert parent.stdout
        parent.stdout.readline()
        found = [usage._memory(pid) for pid in (parent.pid, *descendants(parent.pid))]
    assert len(found) == 2
    assert sum(found) == pytest.approx(3 * size, rel=0.15)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="this system does not tell")
def test_what_is_below_a_process_is_found() -> None:
    with subprocess.Popen(["sh", "-c", "sleep 60 & sleep 60 & echo; wait"], stdout=subprocess.PIPE) as shell:
        assert shell.stdout
        shell.stdout.readline()
        below = [*descendants(os.getpid())]
        assert shell.pid in below
        inner = [*descendants(shell.pid)]
        assert len(inner) == 2
        assert {*inner} <= {*below}
        for pid in (*inner, shell.pid):
            os.kill(pid, 9)
