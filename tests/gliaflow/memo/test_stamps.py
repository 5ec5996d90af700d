"""A stamp moves with whatever is written, and with nothing else."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gliaflow.memo.stamps import stamp


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    made = tmp_path / "top/data"
    (made / "deep").mkdir(parents=True)
    for name in ("a", "b", "deep/c"):
        (made / name).write_text(name)
    return made


def same_size_and_time(path: Path) -> None:
    """Write other text of the same length, and set the time back: only the system's own time of change moves."""
    before = path.stat()
    path.write_text("x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


WRITES: list[Callable[[Path], object]] = [
    lambda tree: (tree / "a").write_text("longer"),
    lambda tree: (tree / "deep/c").write_text("deep/d"),
    lambda tree: same_size_and_time(tree / "deep/c"),
    lambda tree: (tree / "new").write_text(""),
    lambda tree: (tree / "deep/new").mkdir(),
    lambda tree: (tree / "b").unlink(),
    lambda tree: (tree / "a").rename(tree / "z"),
    lambda tree: (tree / "a").replace(tree / "b"),
    lambda tree: (tree.parent / ".dvcignore").write_text("b\n"),
    lambda tree: (tree / "deep/.dvcignore").write_text("c\n"),
]


@pytest.mark.parametrize("write", WRITES)
def test_of_a_folder_it_moves_with_all_that_is_written_below(tree: Path, write: Callable[[Path], object]) -> None:
    before = stamp(str(tree), str(tree.parent))
    assert before is not None
    assert stamp(str(tree), str(tree.parent)) == before
    write(tree)
    assert stamp(str(tree), str(tree.parent)) != before


def test_what_is_written_elsewhere_does_not_count(tree: Path) -> None:
    before = stamp(str(tree), str(tree.parent))
    (tree.parent / "other").write_text("")
    (tree.parent.parent / ".dvcignore").write_text("")
    assert stamp(str(tree), str(tree.parent)) == before


def test_of_a_file(tree: Path) -> None:
    before = stamp(str(tree / "a"))
    assert stamp(str(tree / "a")) == before
    same_size_and_time(tree / "a")
    assert stamp(str(tree / "a")) != before


def test_of_what_is_not_there_and_of_links_there_is_none(tree: Path) -> None:
    assert stamp(str(tree / "gone")) is None
    (tree / "link").symlink_to(tree / "a")
    assert stamp(str(tree / "link")) == stamp(str(tree / "a"))
    assert stamp(str(tree)) is not None
    (tree / "folder").symlink_to(tree / "deep")
    assert stamp(str(tree)) is None
    (tree / "folder").unlink()
    (tree / "broken").symlink_to("nowhere")
    assert stamp(str(tree)) is None
