import json
import os
from itertools import pairwise
from pathlib import Path

import pytest

from gliaflow.lockfiles.whole import NOTE, Files

OTHERS = json.dumps({"path": 1, "added": ["b"], "gone": None, "known": [[1, "x"]]})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "tmp"
    made.mkdir()
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dvc.lock"


def test_a_file_is_replaced_and_keeps_its_mode(folder: Path, path: Path) -> None:
    Files(folder).write(path, b"one", [])
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"one", 0o666 & ~_umask())
    path.chmod(0o640)
    before = path.stat().st_ino
    Files(folder).write(path, b"two", [])
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"two", 0o640)
    assert path.stat().st_ino != before
    assert [one.name for one in folder.iterdir()] == [NOTE]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_a_link_stays_and_what_it_leads_to_is_replaced(folder: Path, path: Path, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("one")
    path.symlink_to("real")
    Files(folder).write(path, b"two", [])
    assert path.is_symlink()
    assert (tmp_path / "real").read_text() == "two"


def test_what_cannot_be_written_is_as_it_was(folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.write_text("one")
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for anybody but root
    with pytest.raises(PermissionError, match="read-only"):
        Files(folder).write(path, b"two", [])
    monkeypatch.undo()
    monkeypatch.setattr(Path, "replace", _full)
    with pytest.raises(OSError, match="no room"):
        Files(folder).write(path, b"two", [])
    assert path.read_text() == "one"
    assert sorted(one.name for one in path.parent.iterdir()) == ["dvc.lock", "tmp"]


def _full(*_: object) -> None:
    raise OSError("no room")


def test_dvcs_folder_may_be_on_another_disk(path: Path) -> None:
    other = Path("/dev/shm")
    if not other.is_dir() or other.stat().st_dev == path.parent.stat().st_dev:
        pytest.skip("this machine has one disk alone")
    folder = other / f"gliaflow-{os.getpid()}"
    folder.mkdir()
    try:
        Files(folder).write(path, b"one", ["a"])
        assert path.read_bytes() == b"one"
        assert Files(folder).added(path) == ["a"]
    finally:
        (folder / NOTE).unlink()
        folder.rmdir()
    assert [one.name for one in path.parent.iterdir()] == ["dvc.lock"]


def test_what_an_unfinished_run_added_is_known_until_others_write(folder: Path, path: Path) -> None:
    assert Files(folder).added(path) == []
    files = Files(folder)
    files.write(path, b"one", ["a"])
    files.write(path, b"two!", ["b"])
    assert Files(folder).added(path) == ["a", "b"]
    files.write(path, b"one", ["c"], ["a"])
    assert Files(folder).added(path) == ["b", "c"]
    path.write_bytes(b"another")
    assert Files(folder).added(path) == []


def test_a_run_that_was_killed_before_it_put_the_file_in_place(
    folder: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Files(folder).write(path, b"one", ["a"])
    files, replace = Files(folder), Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda self, to: _full() if self.suffix == ".partial" and to == path else replace(self, to)
    )
    with pytest.raises(OSError, match="no room"):
        files.write(path, b"two!", ["b"])
    assert Files(folder).added(path) == ["a", "b"]


def test_a_run_that_has_finished_leaves_no_note(folder: Path, path: Path) -> None:
    files = Files(folder)
    files.write(path, b"one", ["a"])
    files.write(path.with_name(".gitignore"), b"/b", ["/b"])
    files.finished({path: ["a", "x"]})
    assert Files(folder).added(path) == []
    assert Files(folder).added(path.with_name(".gitignore")) == ["/b"]  # which another run has to finish
    for _ in range(2):
        files.finished({path.with_name(".gitignore"): ["/b"]})
    assert list(folder.iterdir()) == []


def test_a_run_that_finishes_takes_nothing_from_one_beside_it(folder: Path, path: Path) -> None:
    one, other = Files(folder), Files(folder)
    one.write(path, b"1", ["a"])
    other.write(path, b"22", ["x"])
    one.write(path, b"333", ["b"])
    assert sorted(Files(folder).added(path)) == ["a", "b", "x"]
    other.finished({path: ["x"]})
    assert Files(folder).added(path) == ["a", "b"]
    one.write(path, b"4", ["c"])
    assert Files(folder).added(path) == ["a", "b", "c"]
    (folder / NOTE).unlink()  # by a version that knows of one run alone
    one.write(path, b"55", ["d"])
    assert Files(folder).added(path) == ["a", "b", "c", "d"]


def test_the_note_grows_by_what_each_write_adds_and_an_unfinished_one_is_kept(folder: Path, path: Path) -> None:
    files, sizes = Files(folder), [0]
    for number in range(50):
        files.write(path, b"x" * number, [f"stage-{number:03}"])
        sizes.append((folder / NOTE).stat().st_size)
    steps = [after - before for before, after in pairwise(sizes)]
    assert max(steps[1:]) - min(steps[1:]) < 5
    again = Files(folder)
    again.write(path, b"", ["last"])
    assert again.added(path) == Files(folder).added(path) == [*(f"stage-{number:03}" for number in range(50)), "last"]
    assert (folder / NOTE).stat().st_size < sizes[-1]


def test_a_writer_that_was_killed_in_the_note_costs_no_more_than_its_line(folder: Path, path: Path) -> None:
    files = Files(folder)
    files.write(path, b"one", ["a"])
    with (folder / NOTE).open("ab") as note:
        note.write(b'\n{"path": "/x", "ad')
    files.write(path, b"two", ["b"])
    assert Files(folder).added(path) == ["a", "b"]


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"a": 1}', '{"a": [1, 2]}', "\0", json.dumps({"a": [["b"]]}), OTHERS]
)
def test_a_note_that_makes_no_sense_is_none(folder: Path, path: Path, text: str) -> None:
    (folder / NOTE).write_text(text)
    path.write_text("one")
    files = Files(folder)
    assert files.added(path) == []
    files.write(path, b"two", ["a"])
    assert Files(folder).added(path) == ["a"]
