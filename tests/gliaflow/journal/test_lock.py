"""A journal is locked as long as its process lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from gliaflow.journal.lock import alone, held
from tests.support.repos import soon

HOLDER = """
import sys, time
from gliaflow.journal.lock import take
file = open(sys.argv[1], "w")
take(file.fileno())
print("held", flush=True)
time.sleep(1000)
"""


def test_a_lock_ends_with_its_process(tmp_path: Path) -> None:
    path = tmp_path / "run"
    assert not held(path)
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == b"held\n"
        assert held(path)
        os.kill(holder.pid, signal.SIGKILL)
    assert soon(lambda: not held(path))


def test_one_alone_gets_a_file(tmp_path: Path) -> None:
    with alone(tmp_path / "marks") as first, alone(tmp_path / "marks") as second:
        assert (first, second) == (True, False)
    with alone(tmp_path / "marks") as third:
        assert third
