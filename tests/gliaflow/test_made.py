"""What stages made, found again by its hash, from the first place that still has it."""

import json
import os
from pathlib import Path

import pytest

from gliaflow.made import TooLarge, bytes_of, cached, listed, md5

DATA = b"made"


def kept(cache: Path, value: str, data: bytes) -> Path:
    path = cached(cache, value)
    assert path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_where_a_cache_keeps_an_object() -> None:
    assert cached(Path("/cache"), "abcdef.dir") == Path("/cache/ab/cdef.dir")
    assert cached(None, "abcdef") is None


def test_the_first_place_that_still_has_the_bytes_gives_them(tmp_path: Path) -> None:
    value, changed, same = md5(DATA), tmp_path / "changed", tmp_path / "same"
    changed.write_bytes(b"else")
    same.write_bytes(DATA)
    assert bytes_of((None, tmp_path / "gone", tmp_path, changed, same), value, 100) == DATA
    assert bytes_of((None, tmp_path / "gone", changed), value, 100) is None


def test_an_empty_file_is_found_too(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert bytes_of((tmp_path / "empty",), md5(b""), 0) == b""


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert bytes_of((tmp_path / "pipe",), md5(DATA), 100) is None


def test_a_file_that_is_too_large_is_told(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(DATA)
    with pytest.raises(TooLarge):
        bytes_of((tmp_path / "large",), md5(DATA), len(DATA) - 1)


@pytest.mark.parametrize("broken", [b"{", b"[1]", b'[{"md5": "x"}]', b"null"])
def test_a_folder_lists_its_files(tmp_path: Path, broken: bytes) -> None:
    entries = [{"md5": "1" * 32, "relpath": "a"}, {"md5": "2" * 32, "relpath": "sub/b"}]
    kept(tmp_path, "ab12.dir", json.dumps(entries).encode())
    assert listed(tmp_path, "ab12.dir") == {"a": "1" * 32, "sub/b": "2" * 32}
    kept(tmp_path, "cd34.dir", broken)
    assert listed(tmp_path, "cd34.dir") is None
    assert listed(tmp_path, "ef56.dir") is None
    assert listed(None, "ab12.dir") is None
