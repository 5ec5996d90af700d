import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from gliaflow.workspace.locks import CLOCK_SECONDS, forget_the_dead

NOTHING: dict[str, Any] = {"write": {}, "read": {}}


def info(pid: int) -> dict[str, Any]:
    return {"pid": pid, "cmd": "dvc repro"}


@pytest.fixture
def rwlock(tmp_path: Path) -> Path:
    return tmp_path / "rwlock"


def left(rwlock: Path, before: dict[str, Any]) -> Any:
    """What stands in the file afterwards."""
    rwlock.write_text(json.dumps(before))
    forget_the_dead(rwlock)
    assert [path.name for path in rwlock.parent.iterdir()] == [rwlock.name]
    return json.loads(rwlock.read_text())


@pytest.fixture
def living() -> Iterator[int]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process.pid
        process.kill()


@pytest.fixture
def dead() -> int:
    with subprocess.Popen(["true"]) as process:
        pass
    return process.pid


@pytest.fixture
def zombie() -> Iterator[int]:
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE
        yield process.pid


def test_entries_of_the_living_stay_and_those_of_the_dead_go(rwlock: Path, living: int, dead: int) -> None:
    before = {
        "write": {"/a": info(living), "/b": info(dead), "/c": info(os.getpid())},
        "read": {"/d": [info(dead), info(living)], "/e": [info(dead)], "/f": [info(living), info(os.getpid())]},
    }
    assert left(rwlock, before) == {
        "write": {"/a": info(living), "/c": info(os.getpid())},
        "read": {"/d": [info(living)], "/f": [info(living), info(os.getpid())]},
    }


def test_a_zombie_is_dead(rwlock: Path, zombie: int) -> None:
    assert left(rwlock, {"write": {"/a": info(zombie)}, "read": {"/b": [info(zombie)]}}) == NOTHING


def test_a_process_younger_than_its_entry_is_another_one(rwlock: Path, living: int) -> None:
    began = psutil.Process(living).create_time()
    rwlock.write_text(json.dumps({"write": {"/a": info(living)}, "read": {"/b": [info(living)]}}))
    os.utime(rwlock, (began - 60, began - 60))
    forget_the_dead(rwlock)
    assert json.loads(rwlock.read_text()) == NOTHING


@pytest.mark.parametrize("seconds", [-CLOCK_SECONDS / 2, 0, 60])
def test_clocks_may_be_a_little_off(rwlock: Path, living: int, seconds: float) -> None:
    began = psutil.Process(living).create_time()
    before = {"write": {"/a": info(living)}, "read": {}}
    rwlock.write_text(json.dumps(before))
    os.utime(rwlock, (began + seconds, began + seconds))
    forget_the_dead(rwlock)
    assert json.loads(rwlock.read_text()) == before


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b'{"write": {"/a": {"pi',
        b"\0\0\0\0",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"write": []}',
        b'{"write": {"/a": {"cmd": "dvc"}}}',
        b'{"write": {"/a": {"pid": "x"}}}',
        b'{"write": {"/a": {"pid": null}}}',
        b'{"write": {"/a": {"pid": -5}}}',
        b'{"write": {"/a": {"pid": 99999999999999999999}}}',
        b'{"read": {"/a": {"pid": 1}}}',
    ],
)
def test_what_makes_no_sense_is_replaced(rwlock: Path, text: bytes) -> None:
    rwlock.write_bytes(text)
    forget_the_dead(rwlock)
    assert json.loads(rwlock.read_text()) == NOTHING


def test_no_file_is_no_error_and_stays_none(rwlock: Path) -> None:
    forget_the_dead(rwlock)
    assert not rwlock.exists()


@pytest.mark.parametrize("nobody", [True, False])
def test_a_file_with_nothing_to_drop_is_not_written(rwlock: Path, nobody: bool) -> None:
    mine = {"write": {"/a": info(os.getpid())}, "read": {"/b": [info(os.getpid())]}}
    rwlock.write_text(json.dumps(NOTHING if nobody else mine))
    before = rwlock.stat()
    time.sleep(0.02)
    forget_the_dead(rwlock)
    after = rwlock.stat()
    assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
