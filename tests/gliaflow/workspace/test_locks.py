import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from dvc.lock import LockError

from gliaflow.core.ports import NotYet
from gliaflow.workspace import locks
from gliaflow.workspace.locks import CLOCK_SECONDS, forget_the_dead
from gliaflow.workspace.workspace import Workspace
from tests.gliaflow.workspace.test_conformance import execute, run
from tests.support.repos import SOURCE, Project, copies

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


@pytest.fixture
def workspace(project: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """One stage, `s`, which reads seed.txt and makes o.txt; it is planned."""
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt")})
    monkeypatch.setenv("PATH", project.environment["PATH"])
    with Workspace(project.root, None, lambda _: None) as made:
        made.plan()
        yield made


HELD = ("write", "read", "both", "several")


@pytest.mark.parametrize("how", HELD)
def test_what_the_last_dead_process_held_is_free(workspace: Workspace, dead: int, living: int, how: str) -> None:
    """DVC drops the whole key "write" or "read" with the last entry in it."""
    here = Path.cwd()
    notes: dict[str, Any] = {
        "write": {"write": {f"{here}/o.txt": info(dead)}},
        "read": {"read": {f"{here}/o.txt": [info(dead)]}},
        "both": {"write": {f"{here}/seed.txt": info(dead)}, "read": {f"{here}/o.txt": [info(dead), info(dead)]}},
        "several": {
            "write": {f"{here}/o.txt": info(dead), f"{here}/seed.txt": info(dead), "/other": info(living)},
            "read": {f"{here}/o.txt": [info(dead)], "/other": [info(living)]},
        },
    }
    path = here / ".dvc/tmp/rwlock"
    path.write_text(json.dumps(notes[how]))
    assert run(workspace, "s") == {"o.txt": "b026324c6904b2a9cb4b88d6d61c81d1"}
    left = json.loads(path.read_text())
    assert list(left.get("write", {})) == list(left.get("read", {})) == (["/other"] if how == "several" else [])
    assert workspace.close(failed=False, complete=True) == {}


@pytest.mark.parametrize(
    "text", ["{}", "", "null", "[]", '{"write": {"/a": 1}}', '{"other": {}}', '{"read": {"/a": [{}]}}']
)
def test_what_makes_no_sense_in_the_middle_of_a_run_is_in_nobodys_way(workspace: Workspace, text: str) -> None:
    path = Path(".dvc/tmp/rwlock")
    path.write_text(text)
    prepared = workspace.prepare("s")
    path.write_text(text)
    assert workspace.claim("s")
    workspace.hold("s", os.getpid())
    assert json.loads(path.read_text())["write"][f"{Path.cwd()}/o.txt"]["pid"] == os.getpid()
    execute(prepared)
    path.write_text(text)
    assert list(workspace.finish("s")) == ["o.txt"]
    assert workspace.settle("s") == workspace.close(failed=False, complete=True) == {}


def test_as_long_as_the_lock_is_held_the_notes_are_read_once(
    workspace: Workspace, living: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, real = [], locks._text_in

    def text(folder: str) -> bytes:
        read.append(folder)
        return real(folder)

    monkeypatch.setattr(locks, "_text_in", text)
    for number in (1, 2):
        with workspace._locks.held():
            assert not workspace.unchanged(["s"])
            workspace.hold("s", os.getpid())
            workspace.release("s")
            assert not workspace.unchanged(["s"])
        assert len(read) == number
    Path(".dvc/tmp/rwlock").write_text(json.dumps({"write": {f"{Path.cwd()}/o.txt": info(living)}}))
    with pytest.raises(LockError, match=r"o\.txt' is busy"):
        workspace.hold("s", os.getpid())
    Path(".dvc/tmp/rwlock").write_text("{}")
    workspace.hold("s", os.getpid())
    assert list(json.loads(Path(".dvc/tmp/rwlock").read_text())["write"]) == [f"{Path.cwd()}/o.txt"]


@pytest.mark.parametrize("how", ["write", "read"])
def test_what_the_living_hold_is_busy(workspace: Workspace, living: int, how: str) -> None:
    held = info(living) if how == "write" else [info(living)]
    workspace.prepare("s")
    Path(".dvc/tmp/rwlock").write_text(json.dumps({how: {f"{Path.cwd()}/o.txt": held}}))
    with pytest.raises(NotYet, match=r"o\.txt' is busy"):
        workspace.claim("s")


def test_between_a_stages_end_and_its_record_its_paths_stay_busy(workspace: Workspace, dead: int) -> None:
    """Or another run takes them, and removes the outputs."""
    prepared = workspace.prepare("s")
    workspace.claim("s")
    workspace.hold("s", dead)  # the warden
    execute(prepared)
    script = (
        "from gliaflow.workspace.workspace import Workspace\n"
        "from gliaflow.core.ports import NotYet\n"
        "with Workspace() as workspace:\n"
        "    workspace.plan()\n"
        "    try:\n"
        "        workspace.prepare('s') and print(workspace.claim('s'))\n"
        "    except NotYet as reason:\n"
        "        print('busy' in str(reason))\n"
    )
    line = [sys.executable, "-c", script]
    ended = subprocess.run(
        line, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)}
    )
    assert ended.stdout == "True\n"
    assert workspace.finish("s") == {"o.txt": "b026324c6904b2a9cb4b88d6d61c81d1"}
    workspace.settle("s")
    workspace.close(failed=False, complete=True)


def test_after_the_run_was_killed_what_its_warden_still_ends_is_busy(workspace: Workspace, living: int) -> None:
    workspace.prepare("s")
    workspace.claim("s")
    workspace.hold("s", living)
    path = Path(".dvc/tmp/rwlock")
    noted = json.loads(path.read_text())
    workspace.release("s")
    assert json.loads(path.read_text()) == NOTHING
    gone = json.dumps(noted).replace(f'"pid": {os.getpid()}', '"pid": 999999999')
    path.write_text(gone)
    with pytest.raises(NotYet, match=r"o\.txt' is busy"):
        workspace.claim("s")
