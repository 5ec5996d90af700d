"""Memory that stages of all flows hold: no more than there is, and free again once its holder has ended."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gliaflow.resources import memory
from gliaflow.resources.memory import Memory, total_memory
from tests.support.patience import PATIENCE
from tests.support.repos import SOURCE

HOLD = (
    "import sys, time\n"
    "from pathlib import Path\n"
    "from gliaflow.resources.memory import Memory\n"
    "held = Memory(Path(sys.argv[1]), 100).acquire(60)\n"
    "print(held is not None, flush=True)\n"
    "time.sleep(1200)\n"
)


def test_no_more_is_held_than_there_is(tmp_path: Path) -> None:
    found = Memory(tmp_path, 100)
    first, second = found.acquire(60), found.acquire(40)
    assert first is not None
    assert second is not None
    assert found.acquire(1) is None
    assert sorted(size for _, size in found.holders()) == [40, 60]
    os.close(first)
    assert found.acquire(61) is None
    assert found.acquire(60) is not None


def test_what_asks_for_more_than_all_gets_all(tmp_path: Path) -> None:
    found = Memory(tmp_path, 100)
    assert found.acquire(1000) is not None
    assert [size for _, size in found.holders()] == [100]
    assert found.acquire(1) is None


def test_what_a_killed_process_held_is_free_and_its_file_is_removed(tmp_path: Path) -> None:
    line = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(line, env={"PYTHONPATH": str(SOURCE)}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert process.stdout.readline() == "True\n"
        found = Memory(tmp_path, 100)
        assert found.acquire(60) is None
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE)
    assert found.acquire(60) is not None
    assert len(list(tmp_path.glob("memory-*"))) == 1


@pytest.mark.parametrize(
    ("own", "files", "total"),
    [
        ("0::/a/b\n", {"memory.max": "max\n", "a/memory.max": "5000\n", "a/b/memory.max": "max\n"}, 5000),
        ("0::/a/b\n", {"a/memory.max": "5000\n", "a/b/memory.max": "4000\n"}, 4000),
        ("3:cpu,memory:/x\n2:memory:/a\n0::/\n", {"memory/a/memory.limit_in_bytes": "3000\n"}, 3000),
        ("0::/\n", {}, psutil.virtual_memory().total),
        ("", {}, psutil.virtual_memory().total),
    ],
)
def test_the_total_is_what_control_groups_allow(
    own: str, files: dict[str, str], total: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(memory, "OWN_CGROUPS", tmp_path / "own")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "groups")
    assert total_memory() == total
