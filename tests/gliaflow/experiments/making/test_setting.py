"""What experiments begin at: the user's changes, and data that has changed since it was added."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from gliaflow.core.options import Options
from gliaflow.errors import UserError
from gliaflow.experiments.making.setting import Setting, Wanted, folder, look
from gliaflow.machine.git import git
from gliaflow.store.repository import opened
from tests.support.repos import Project


@pytest.fixture
def ready(project: Project) -> Project:
    project.write({"a.txt": "1\n", "data.txt": "1\n"})
    project.dvc("add", "-q", "data.txt")
    project.commit()
    return project


def looked(project: Project, wanted: Wanted = Wanted(), files: tuple[str, ...] = (), below: str = ".") -> Setting:  # noqa: B008
    with opened(project.root / below) as repo:
        return look(repo, wanted, files)


def test_of_a_clean_workspace_it_is_head(ready: Project) -> None:
    found = looked(ready)
    head = git(ready.root, "rev-parse", "HEAD").stdout.strip()
    assert (found.baseline, found.tree, found.data, found.copies) == (head, head, {}, ())
    assert (found.top, found.dvc_dir, found.wdir) == (str(ready.root), ".dvc", ".")
    assert found.folder == str(ready.root / ".dvc/tmp/gliaflow/experiments")


def test_changes_of_tracked_files_and_of_data(ready: Project) -> None:
    ready.write({"a.txt": "2\n", "data.txt": "2\n", "loose.txt": ""})
    before = (ready.root / "data.txt.dvc").read_text()
    found = looked(ready)
    assert git(ready.root, "show", f"{found.tree}:a.txt").stdout == "2\n"
    assert found.baseline != found.tree
    assert list(found.data) == ["data.txt.dvc"]
    assert (ready.root / "data.txt.dvc").read_text() == before
    ready.dvc("add", "-q", "data.txt")
    assert (ready.root / "data.txt.dvc").read_text() == found.data["data.txt.dvc"]
    with opened(ready.root) as repo:
        assert repo.cache.local.exists("26ab0db90d72e28ad0ba1e22ee510510")  # of "2\n"


def test_what_comes_along_seen_from_a_folder_below(ready: Project) -> None:
    ready.write({"sub/x/y": "", "sub/more.yaml": "a: 1\n", "sub/known.yaml": "a: 1\n"})
    ready.run("git", "add", "sub/known.yaml")
    found = looked(ready, Wanted(copy_paths=("x",)), ("more.yaml", "known.yaml"), "sub")
    assert (found.wdir, found.copies) == ("sub", ("sub/more.yaml", "sub/x"))
    with pytest.raises(UserError, match="--copy-paths y: there is no such file or folder"):
        looked(ready, Wanted(copy_paths=("y",)), below="sub")
    for path in (".", "..", str(ready.root), "../..", ".dvc"):
        with pytest.raises(UserError, match="name a file or folder in the repository, and not all of it"):
            looked(ready, Wanted(copy_paths=(path,)))


def test_the_content_of_what_comes_along_counts(ready: Project) -> None:
    ready.write({"loose/a": "1", "loose/b/c": "2"})
    wanted = Wanted(copy_paths=("loose",))
    first = looked(ready, wanted).copied
    assert first == looked(ready, wanted).copied != looked(ready).copied == ""
    ready.write({"loose/b/c": "3"})
    assert looked(ready, wanted).copied != first


def test_data_that_git_does_not_track_stays_behind(ready: Project) -> None:
    ready.write({"new/data": "1\n"})
    ready.dvc("add", "-q", "new/data")
    ready.write({"new/data": "2\n"})
    assert looked(ready).data == {}


def test_where_git_has_nothing(project: Project) -> None:
    with pytest.raises(UserError, match="git commit first"):
        looked(project)


def test_it_travels_as_plain_data(ready: Project) -> None:
    found = looked(ready, Wanted(("a", "b"), Options(pull=True), 3, ("x",), False, "n", ("a.txt",), "m"))
    assert Setting.of(json.loads(json.dumps(asdict(found)))) == found


def test_the_folder_is_below_what_git_ignores(ready: Project) -> None:
    with opened(ready.root) as repo:
        assert folder(repo).is_relative_to(Path(repo.tmp_dir))
