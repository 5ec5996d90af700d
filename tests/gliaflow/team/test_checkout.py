"""A host's workspaces: at the very commit, with nothing of the run before, and nobody else's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.machine.git import git
from gliaflow.team.checkout import checked_out
from tests.support.repos import Project, copies


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLIAFLOW_WORKSPACES", str(tmp_path / "workspaces"))


@pytest.fixture
def repository(new_project: Callable[..., Project]) -> Project:
    """One that ignores an output and `.state`."""
    made = new_project()
    made.write({"seed.txt": "1\n", ".gitignore": "o.txt\n/.state\n"})
    made.pipeline({"s": copies("seed.txt", "o.txt")})
    made.commit()
    return made


def test_two_at_once_have_two_and_the_first_is_taken_again(repository: Project) -> None:
    with checked_out(str(repository.root), "master") as one, checked_out(str(repository.root), "master") as two:
        assert one != two
        assert (one / "seed.txt").read_text() == (two / "seed.txt").read_text() == "1\n"
    with checked_out(str(repository.root), "master") as again:
        assert again == one


def test_nothing_of_the_run_before_is_left_but_the_state_of_a_training(repository: Project) -> None:
    with checked_out(str(repository.root), "master") as root:
        for name in ("o.txt", "new.txt", "seed.txt", ".state/epoch"):
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_text("of a run\n")
        (root / ".git/index.lock").touch()  # as one leaves it that is killed
    repository.write({"seed.txt": "2\n"})
    repository.commit()
    with checked_out(str(repository.root), "master") as root:
        assert (root / "seed.txt").read_text() == "2\n"
        assert (root / ".state/epoch").exists()
        assert not (root / "o.txt").exists()
        assert not (root / "new.txt").exists()
        assert git(root, "status", "--porcelain").stdout == ""


def test_a_workspace_that_was_broken_is_made_anew(repository: Project) -> None:
    with checked_out(str(repository.root), "master") as root:
        (root / ".git/HEAD").write_text("nonsense")
        (root / ".state").mkdir()
        (root / ".state/epoch").touch()
    with pytest.raises(UserError), checked_out(str(repository.root), "elsewhere"):
        pass
    with checked_out(str(repository.root), "master") as root:
        assert (root / ".state/epoch").exists()
        assert (root / "seed.txt").read_text() == "1\n"


def test_names_that_were_withdrawn_are_free_again(repository: Project) -> None:
    repository.run("git", "branch", "fix")
    repository.run("git", "tag", "v1")
    with checked_out(str(repository.root), "master") as root:
        assert git(root, "tag").stdout == "v1\n"
    repository.run("git", "branch", "-D", "fix")
    repository.run("git", "branch", "fix/a")
    repository.run("git", "tag", "--delete", "v1")
    with checked_out(str(repository.root), "fix/a") as root:
        assert git(root, "tag").stdout == ""


def test_what_cannot_be_had_is_said(repository: Project, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="couldn't find remote ref"), checked_out(str(repository.root), "elsewhere"):
        pass
    with pytest.raises(UserError, match="nowhere"), checked_out(str(tmp_path / "nowhere"), "master"):
        pass
    with (
        pytest.raises(UserError, match=r"master is [0-9a-f]{12} in .*, not 000000000000"),
        checked_out(str(repository.root), "master", "0" * 40),
    ):
        pass
    with pytest.raises(UserError, match="no DVC repository"), checked_out(str(repository.root), "master", None, "sub"):
        pass
