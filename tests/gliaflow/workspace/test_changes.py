"""What changed of what a stage reads."""

import os
from pathlib import Path

from gliaflow.workspace.changes import signature


def test_a_signature_changes_when_the_file_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    assert signature(str(path)) is None
    path.write_text("1")
    first = signature(str(path))
    assert first is not None
    assert signature(str(path)) == first
    path.read_text()
    assert signature(str(path)) == first
    path.write_text("12")
    assert signature(str(path)) != first


def test_a_signature_changes_with_each_of_time_size_and_file(tmp_path: Path) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_text("1")
    other.write_text("2")
    os.utime(path, ns=(0, 1000))
    os.utime(other, ns=(0, 1000))
    first = signature(str(path))
    os.utime(path, ns=(0, 2000))
    assert signature(str(path)) != first
    os.utime(path, ns=(0, 1000))
    assert signature(str(path)) == first
    other.replace(path)
    assert signature(str(path)) != first


def test_a_folder_has_a_signature_and_what_lies_below_a_file_has_none(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    assert signature(str(tmp_path)) is not None
    assert signature(str(tmp_path / "a" / "b")) is None
