"""DVC tries once what it would try for each file, and puts the same files in place."""

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dvc_data.hashfile.checkout as checkout
import pytest
from dvc.fs import LocalFileSystem, MemoryFileSystem
from dvc_objects.fs import system

from gliaflow.memo import links
from gliaflow.memo.links import links_known
from tests.support.repos import Project

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


YEAR_2002 = 1_009_843_200
MADE = {  # what a stage does with its output, and whether a new copy would look like that
    "as it comes": ("true", True),
    "private": ("chmod 600 out", False),
    "read-only": ("chmod 444 out", False),
    "a program": ("chmod 755 out", False),
    "a link to it": ("ln out other", False),
    "a link": ("mv out other && ln -s other out", False),
}


@pytest.mark.parametrize("what", MADE)
def test_a_file_that_is_like_a_copy_stays_and_any_other_is_as_dvc_leaves_it(
    new_project: Callable[..., Project], what: str
) -> None:
    command, stays = MADE[what]
    pair = [new_project("ours"), new_project("theirs")]
    for project in pair:
        project.pipeline({"a": {"cmd": f"echo 1 > out && {command} && touch -d 2001-01-01 out", "outs": ["out"]}})
    pair[0].gliaflow("repro")
    pair[1].dvc("repro")
    ours, theirs = (project.root / "out" for project in pair)
    assert [path.read_text() for path in (ours, theirs)] == ["1\n"] * 2
    found = [path.lstat() for path in (ours, theirs)]
    assert found[0].st_mode == found[1].st_mode
    assert [one.st_nlink for one in found] == [1, 1]
    assert pair[0].left() == pair[1].left()
    assert (found[0].st_mtime < YEAR_2002) == stays
    assert (pair[0].root / ".dvc/cache/files/md5/b0/26324c6904b2a9cb4b88d6d61c81d1").stat().st_ino != found[0].st_ino
    for project in pair:
        assert "up to date" in project.dvc("status").stdout


def test_a_file_with_attributes_of_its_own_gets_none_as_under_dvc(new_project: Callable[..., Project]) -> None:
    project = new_project()
    note = "import os; os.setxattr('out', 'user.note', b'1')"
    try:
        (project.root / "probe").touch()
        os.setxattr(project.root / "probe", "user.note", b"1")
    except (OSError, AttributeError):
        pytest.skip("this file system keeps no attributes")
    project.pipeline({"a": {"cmd": f'echo 1 > out && python -c "{note}"', "outs": ["out"]}})
    project.gliaflow("repro")
    assert os.listxattr(project.root / "out") == []


def test_a_file_system_without_attributes_fails_nobody(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> list[str]:
        raise OSError(errno.ENOTSUP, "no attributes")

    monkeypatch.setattr(os, "listxattr", refuse)
    (project.root / "x").touch()
    assert links._is_like_a_copy(str(project.root / "x"))
    assert not links._is_like_a_copy(str(project.root / "y"))


@pytest.mark.skipif(os.geteuid() != 0, reason="another user cannot give a file to any group")
def test_the_group_is_that_of_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.touch()
    os.chown(path, -1, 1)
    assert not links._is_like_a_copy(str(path))
    os.chown(tmp_path, -1, 1)
    tmp_path.chmod(0o2755)
    assert links._is_like_a_copy(str(path))


@pytest.mark.parametrize("shared", ["", "group"])
@pytest.mark.parametrize("kind", ["hardlink", "symlink", "copy", "reflink,hardlink", "reflink,copy"])
def test_links_and_modes_are_those_that_somebody_wants(
    new_project: Callable[..., Project], kind: str, shared: str
) -> None:
    found = []
    for name, run in (("ours", Project.gliaflow), ("theirs", Project.dvc)):
        project = new_project(name)
        project.dvc("config", "cache.type", kind)
        if shared:
            project.dvc("config", "cache.shared", shared)
        project.pipeline({"a": {"cmd": "echo 1 > out", "outs": ["out"]}})
        run(project, "repro")
        out = (project.root / "out").lstat()
        found.append((out.st_mode, out.st_nlink))
    assert found[0] == found[1]
