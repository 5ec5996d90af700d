"""Files of a store: whole or not there, listed, hashed; errors of any library as one line."""

import errno
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from dvc.exceptions import DvcException
from dvc_data.hashfile.db import get_odb
from dvc_objects.fs.local import localfs

from gliaflow.errors import BadInput, TransientError, UserError
from gliaflow.store import files


class ReadTimeoutError(Exception):
    """As a library would call it."""


@pytest.fixture
def odb(tmp_path: Path) -> Any:
    """A store in a folder."""
    made: Any = get_odb
    return made(localfs, str(tmp_path / "store"))


def put(odb: Any, text: str, oid: str | None = None) -> str:
    """Have the store hold this text, by default under its hash."""
    oid = oid or md5(text.encode()).hexdigest()
    path = Path(odb.oid_to_path(oid))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return oid


@pytest.mark.parametrize(
    ("raised", "kind", "message"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), TransientError, "refused"),
        (ReadTimeoutError("no answer\nin 60 s"), TransientError, "no answer in 60 s"),
        (OSError(errno.EIO, "slow down"), TransientError, "slow down"),
        (PermissionError(errno.EACCES, "denied", "bucket"), UserError, "bucket: denied"),
        (FileNotFoundError(), UserError, "FileNotFoundError"),
    ],
)
def test_what_a_library_raises_is_one_line_with_the_remote(
    odb: Any, raised: Exception, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught, files.reached(odb):
        raise raised
    assert str(caught.value) == f"remote {files.url(odb)}: {message}"
    assert files.url(odb) == str(odb.path)


@pytest.mark.parametrize(
    "raised", [KeyError("a bug"), OSError(errno.ENOSPC, "disk full"), BadInput("ours"), DvcException("of DVC")]
)
def test_bugs_full_disks_and_errors_that_are_one_line_already_pass(odb: Any, raised: Exception) -> None:
    with pytest.raises(type(raised)) as caught, files.reached(odb):
        raise raised
    assert caught.value is raised


def test_sizes_are_of_all_in_the_folders(odb: Any) -> None:
    one, beside = put(odb, "one", "aa" + "0" * 30), put(odb, "beside", "aa" + "1" * 30)
    put(odb, "other", "bb" + "0" * 30)
    assert files.sizes(odb, [one, "cc" + "0" * 30], None) == {one: 3, beside: 6}


def test_damaged_are_those_that_are_missing_or_hash_to_another_name(odb: Any) -> None:
    whole, listing = put(odb, "whole"), put(odb, "[]", md5(b"[]").hexdigest() + ".dir")
    bad, missing = put(odb, "bad", "a" * 32), "b" * 32
    assert files.damaged(odb, [whole, listing, bad, missing], 2) == {bad, missing}
    assert files.damaged(odb, []) == set()


def test_files_are_sent_protected_and_what_is_not_sent_is_told(odb: Any, tmp_path: Path) -> None:
    told: list[str] = []
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    paths = {str(tmp_path / name): str(tmp_path / "store" / (name * 2) / name) for name in ("a", "b", "c")}
    assert files.send(odb, paths, None, told.append) == {str(tmp_path / "a"), str(tmp_path / "b")}
    sent = tmp_path / "store/bb/b"
    assert (sent.read_text(), sent.stat().st_mode & 0o777) == ("b", 0o444)
    (line,) = told
    assert line.startswith("1 could not be sent (")
    assert line.endswith("No such file or directory); push again for the rest")
    assert files.send(odb, {}, None, told.append) == set()


def test_if_nothing_could_be_sent_the_reason_is_raised(odb: Any, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"remote .*store: .*No such file or directory"):
        files.send(odb, {str(tmp_path / "none"): str(tmp_path / "store/none")}, None, print)


def test_a_file_has_another_name_until_it_is_complete(
    odb: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a remote over SSH, where DVC writes to the file's own name."""
    monkeypatch.setattr(files, "ATOMIC", ())
    moved: list[tuple[str, bool]] = []
    move = localfs.move

    def seen(source: str, target: str, **options: Any) -> None:
        moved.append((Path(source).read_text(), Path(target).exists()))
        move(source, target, **options)

    monkeypatch.setattr(localfs, "move", seen)
    (tmp_path / "a").write_text("all of it")
    files.send(odb, {str(tmp_path / "a"): str(tmp_path / "store/aa")}, None, print)
    assert moved == [("all of it", False)]
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["aa"]
