"""Hashes in files and commits, by hand."""

from pathlib import Path

from gliaflow.experiments.hashes import in_commits, in_files, in_folder, in_text
from gliaflow.machine.git import git

A, B, C, D = ("a" * 32, "b" * 32, "c" * 32, "d" * 32)


def test_hashes_in_text() -> None:
    assert in_text(f"md5: {A}\n- md5: {B}.dir\nsha256: {'c' * 64}\nmd5: {'g' * 32}") == {A, f"{B}.dir"}


def test_hashes_in_files(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/dvc.lock").write_text(A)
    (tmp_path / "x.dvc").write_text(B)
    assert in_files([tmp_path / "x.dvc", tmp_path / "nowhere.dvc"]) == {B}
    assert in_folder(tmp_path) == {A}


def test_hashes_in_commits_and_those_before(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "dvc.lock").write_text(A)
    (tmp_path / "notes.txt").write_text(D)
    (tmp_path / "sub.dvc").mkdir()  # a folder of such a name is none of DVC's files
    (tmp_path / "sub.dvc/inside").write_bytes(b"\xff\x00")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "first")
    (tmp_path / "dvc.lock").write_text(B)
    git(tmp_path, "commit", "-qam", "second")
    git(tmp_path, "checkout", "-q", "-b", "other", "HEAD^")
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/data.dvc").write_text(C)
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-qm", "third")
    assert in_commits(tmp_path, ["main"]) == {A, B}
    assert in_commits(tmp_path, ["other"]) == {A, C}
    assert in_commits(tmp_path, [], ["--branches"]) == {A, B, C}
    assert in_commits(tmp_path, []) == set()
