"""DVC tries once what it would try for each file, and puts the same files in place."""

import errno
from pathlib import Path
from typing import Any

import dvc_data.hashfile.checkout as checkout
import pytest
from dvc.fs import LocalFileSystem, MemoryFileSystem
from dvc_objects.fs import system

from gliaflow.memo.links import links_known

FS = LocalFileSystem()


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files that a link was tried to."""
    found: list[str] = []

    def reflink(source: str, target: str) -> None:
        found.append(Path(target).name)
        raise OSError(errno.ENOTSUP if "odd" not in source else errno.EIO, "no link")

    monkeypatch.setattr(system, "reflink", reflink)
    return found


def link(source: Path, target: Path) -> int | None:
    try:
        system.reflink(str(source), str(target))  # type: ignore[no-untyped-call]
    except OSError as error:
        return error.errno
    return None


def test_a_file_system_that_shares_nothing_is_asked_once(tmp_path: Path, tried: list[str]) -> None:
    (tmp_path / "source").write_text("1")
    with links_known():
        assert [link(tmp_path / "source", tmp_path / name) for name in "ab"] == [errno.ENOTSUP] * 2
        assert link(tmp_path / "nothing", tmp_path / "c") == errno.ENOENT
    assert tried == ["a"]
    link(tmp_path / "source", tmp_path / "d")
    assert tried == ["a", "d"]


def test_what_may_pass_is_tried_again(tmp_path: Path, tried: list[str]) -> None:
    (tmp_path / "odd").write_text("1")
    with links_known():
        assert [link(tmp_path / "odd", tmp_path / name) for name in "ab"] == [errno.EIO] * 2
    assert tried == ["a", "b"]


def test_kinds_of_links_are_tested_once_for_a_cache_and_a_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = checkout
    tested, real = [], module.test_links

    def test(*arguments: Any) -> Any:
        tested.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(module, "test_links", test)
    cache, folder = str(tmp_path / "cache"), tmp_path / "folder"
    folder.mkdir()

    def kinds(*wanted: str, to: Any = FS, path: Path = folder / "x") -> Any:
        return module.test_links(list(wanted), FS, cache, to, str(path))

    with links_known():
        first = kinds("hardlink", "copy")
        first.clear()  # nobody else's
        assert [kinds("hardlink", "copy"), kinds("hardlink", "copy", path=tmp_path / "y")] == [["hardlink", "copy"]] * 2
        assert len(tested) == 1
        assert kinds("copy") == ["copy"]
        assert len(tested) == 2
        assert kinds("copy", path=tmp_path / "new/x") == ["copy"]  # a folder that is not there yet
        assert kinds("copy", to=MemoryFileSystem()) == ["copy"]
        assert len(tested) == 4
    assert module.test_links is test
    assert list(folder.iterdir()) == []
