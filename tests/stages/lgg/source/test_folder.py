"""A folder as an archive: the same bytes whenever and wherever, and only what can stand in one."""

import os
import re
import zipfile
from pathlib import Path

import pytest

from stages.errors import BadInput
from stages.lgg.source.folder import list_files, zip_files

FILES = {"b/ü 2.nii": b"2", "a.txt": b"1" * 3_000_000, "b/c/d": b""}


def make(folder: Path) -> Path:
    for name, content in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_the_same_files_give_the_same_bytes(tmp_path: Path) -> None:
    first, second = make(tmp_path / "first"), make(tmp_path / "second")
    os.utime(second / "a.txt", (10**9, 10**9))
    (second / "a.txt").chmod(0o600)
    archives = []
    for folder in (first, second):
        zip_files(folder, list_files(folder), tmp_path / "archive.zip")
        archives.append((tmp_path / "archive.zip").read_bytes())
    assert archives[0] == archives[1]
    with zipfile.ZipFile(tmp_path / "archive.zip") as archive:
        assert archive.namelist() == sorted(FILES)
        assert {name: archive.read(name) for name in FILES} == FILES


def test_only_the_names_that_are_given(tmp_path: Path) -> None:
    zip_files(make(tmp_path / "folder"), ["b/c/d"], tmp_path / "archive.zip")
    assert zipfile.ZipFile(tmp_path / "archive.zip").namelist() == ["b/c/d"]


def test_hidden_files_are_passed_over_and_links_are_their_files(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder")
    for name in (".DS_Store", ".git/config", "__MACOSX/x", "b/._x"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"")
    (tmp_path / "else").write_bytes(b"there")
    (folder / "link").symlink_to(tmp_path / "else")
    assert list_files(folder) == sorted([*FILES, "link"])
    zip_files(folder, ["link"], tmp_path / "archive.zip")
    assert zipfile.ZipFile(tmp_path / "archive.zip").read("link") == b"there"


@pytest.mark.parametrize("name", ["a\\b", "C:x", "a\nb", "a\udcffb"])
def test_names_that_cannot_stand_in_an_archive(tmp_path: Path, name: str) -> None:
    folder = make(tmp_path / "folder")
    (folder / name).write_bytes(b"")
    with pytest.raises(BadInput, match=re.escape(f"{folder}: the name {name!r} cannot stand in an archive")):
        list_files(folder)


def test_a_link_to_a_folder_is_not_followed_in_silence(tmp_path: Path) -> None:
    folder = make(tmp_path / "folder")
    (folder / "b/round").symlink_to(folder)
    with pytest.raises(BadInput, match="b/round: a link to a folder; put the folder itself there"):
        list_files(folder)
