"""The outputs of a commit, as they are written from the cache and from git."""

from hashlib import md5
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.versioning.outputs import left_out, outputs, outputs_of
from tests.gliaflow.store.history import opened
from tests.support.repos import Project, environment, stock


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Outputs of all kinds: files and folders, in the cache and in git, and one that stays on this machine."""
    made = Project(tmp_path / "project", environment(tmp_path, ""))
    cmd = [
        "mkdir -p sub/in held",
        "cp seed file",
        "cp seed sub/in/a",
        "cp seed held/x",
        "cp seed m.json",
        "cp seed kept",
    ]
    outs = ["file", "sub", {"held": {"cache": False}}, {"kept": {"push": False}}]
    made.pipeline(
        {"s": {"cmd": cmd, "deps": ["seed"], "outs": outs, "metrics": [{"m.json": {"cache": False}}]}}, "in/dvc.yaml"
    )
    made.write({"in/seed": "1\n"})
    assert stock(made.root, ["in/dvc.yaml"]) == ["in/dvc.yaml:s"]
    made.commit()
    return made


def read(folder: Path) -> dict[str, str]:
    """The files below a folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


EXPECTED = {f"in/{name}": "1\n" for name in ("file", "sub/in/a", "held/x", "m.json")}


def test_all_that_dvc_pushes_by_path(project: Project) -> None:
    with opened(project) as repo:
        found = outputs(repo)
        assert [(o.path, o.bytes, o.files) for o in found] == [
            ("in/file", 2, 1), ("in/held", 2, 1), ("in/m.json", 2, 1), ("in/sub", 2, 1)
        ]  # fmt: skip
        assert found[0].hash == md5(b"1\n").hexdigest()
        assert found[3].hash.endswith(".dir")
        assert [len(o.objects) for o in found] == [1, 0, 0, 2]
        assert [[key for key, _ in o.inside] for o in found] == [[()], [], [], [("in", "a")]]
        assert left_out(repo) == ["in/kept"]
        assert [o.path for o in outputs(repo, ["in/kept", "in/sub", "none"])] == ["in/kept", "in/sub"]


def test_they_are_written_as_files_that_may_be_changed(project: Project, tmp_path: Path) -> None:
    with opened(project) as repo:
        for output in outputs(repo):
            output.write(tmp_path / "got" / output.path)
    assert read(tmp_path / "got") == EXPECTED
    assert not any(path.is_symlink() for path in (tmp_path / "got").rglob("*"))
    (tmp_path / "got/in/file").write_text("2\n")
    (tmp_path / "got/in/sub/in/a").write_text("2\n")
    assert (project.root / "in/file").read_text() == "1\n"


def test_they_are_shown_as_links_to_read(project: Project, tmp_path: Path) -> None:
    cache = project.root / ".dvc/cache"
    for file in (cache / "files").rglob("*"):
        if file.is_file():
            file.chmod(0o644)
    with opened(project) as repo:
        for output in outputs(repo):
            output.link(tmp_path / "got" / output.path)
    assert read(tmp_path / "got") == EXPECTED
    files = {str(path.relative_to(tmp_path / "got")): path for path in (tmp_path / "got").rglob("*") if path.is_file()}
    assert [name for name, path in sorted(files.items()) if path.is_symlink()] == ["in/file", "in/sub/in/a"]
    assert all(path.resolve().is_relative_to(cache) for path in files.values() if path.is_symlink())
    assert {path.stat().st_mode & 0o777 for path in files.values()} == {0o444}


def test_those_of_another_commit(project: Project, tmp_path: Path) -> None:
    first = project.run("git", "rev-parse", "HEAD").stdout.strip()
    project.write({"in/seed": "22\n"})
    stock(project.root, ["in/dvc.yaml"])
    project.commit()
    with opened(project) as repo:
        for output in outputs_of(repo, first, [*EXPECTED, "in/held", "in/sub"]):
            output.write(tmp_path / "got" / output.path)
        assert [output.bytes for output in outputs(repo)] == [3] * 4
    assert read(tmp_path / "got") == EXPECTED


def test_an_empty_folder_is_one(project: Project, tmp_path: Path) -> None:
    project.pipeline({"e": {"cmd": "mkdir empty", "outs": ["empty"]}})
    stock(project.root)
    with opened(project) as repo:
        (output,) = outputs(repo, ["empty"])
        output.link(tmp_path / "got")
    assert (tmp_path / "got").is_dir()
    assert read(tmp_path / "got") == {}


def test_what_was_never_computed_is_told(project: Project) -> None:
    project.pipeline({"new": {"cmd": "echo > new.txt", "outs": ["new.txt"]}})
    with opened(project) as repo, pytest.raises(UserError, match=r"'new.txt' was never computed: run it, and commit"):
        outputs(repo)
