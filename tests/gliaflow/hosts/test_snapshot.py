"""The workspace as a commit: what goes, what stays, and that nothing here moves."""

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.hosts.snapshot import REFS, forget, origin, place, send, snapshot
from gliaflow.machine.git import git

WHO = ["-c", "user.name=test", "-c", "user.email=test@localhost"]


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A repository with two files and a folder."""
    made = tmp_path / "repository"
    made.mkdir()
    git(made, "init", "--quiet")
    for name in ("kept.txt", "changed.txt", "gone.txt", "out/made.txt", ":odd [name].txt"):
        (made / name).parent.mkdir(exist_ok=True)
        (made / name).write_text("1\n")
    git(made, "add", "--all")
    git(made, *WHO, "commit", "--quiet", "--message", "First")
    return made


def files(top: Path, commit: str) -> dict[str, str]:
    """The content of a commit."""
    names = git(top, "ls-tree", "-r", "-z", "--name-only", commit).stdout.split("\0")[:-1]
    return {name: git(top, "show", f"{commit}:{name}").stdout for name in names}


def test_a_clean_workspace_is_head(top: Path) -> None:
    (top / "untracked.txt").write_text("")
    assert snapshot(top) == git(top, "rev-parse", "HEAD").stdout.strip()


def test_changed_staged_and_removed_files_go_and_nothing_moves(top: Path) -> None:
    (top / "changed.txt").write_text("2\n")  # as long as before, and within the same second
    (top / ":odd [name].txt").write_text("2\n")
    (top / "gone.txt").unlink()
    (top / "staged.txt").write_text("new\n")
    (top / "untracked.txt").write_text("")
    (top / "out/made.txt").write_text("half of it")
    git(top, "add", "staged.txt")
    before = git(top, "status", "--porcelain").stdout, git(top, "rev-parse", "HEAD").stdout
    made = snapshot(top, ["out/made.txt"])
    assert files(top, made) == {
        "kept.txt": "1\n",
        "changed.txt": "2\n",
        ":odd [name].txt": "2\n",
        "staged.txt": "new\n",
        "out/made.txt": "1\n",
    }
    assert snapshot(top, ["out/made.txt"]) == made
    assert (git(top, "status", "--porcelain").stdout, git(top, "rev-parse", "HEAD").stdout) == before
    assert git(top, "rev-parse", f"{made}^").stdout == before[1]
    assert git(top, "branch", "--all", "--contains", made).stdout == ""


def test_it_goes_to_the_remote_under_a_ref_and_is_taken_back(top: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(top, "remote", "add", "origin", "../origin.git")
    assert origin(top) == str(tmp_path / "origin.git")
    (top / "changed.txt").write_text("2\n")
    made = snapshot(top)
    with pytest.raises(InterruptedError):
        send(top, made, "refs/gliaflow/x/1", wanted=lambda: False)
    assert git(top, "ls-remote", "origin").stdout == ""
    send(top, made, "refs/gliaflow/x/1", wanted=lambda: True)
    assert git(top, "ls-remote", "origin").stdout.split() == [made, "refs/gliaflow/x/1"]
    forget(top, ["refs/gliaflow/x/1"])
    assert git(top, "ls-remote", "origin").stdout == ""


def test_what_a_flow_left_that_was_killed_goes_after_a_month(top: Path, tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet", "--bare", "origin.git")
    git(top, "remote", "add", "origin", "../origin.git")
    now = datetime.now(UTC)
    ended, killed, long_ago, other = place(now), place(now - timedelta(days=29)), place(now - timedelta(days=32)), "x/1"
    for ref in (ended, killed, long_ago, f"{REFS}/{other}", "refs/heads/main"):
        send(top, "HEAD", ref, wanted=lambda: True)
    forget(top, [])
    assert len(git(top, "ls-remote", "origin", "refs/*").stdout.splitlines()) == 5
    forget(top, [ended])
    left = git(top, "ls-remote", "origin", "refs/*").stdout.split()[1::2]
    assert left == sorted([killed, f"{REFS}/{other}", "refs/heads/main"])


def test_no_password_leaves_with_the_address(top: Path) -> None:
    git(top, "remote", "add", "upstream", "https://user:secret@example.org/team/it.git")
    assert origin(top) == "https://example.org/team/it.git"
    git(top, "remote", "set-url", "upstream", "https://ghp_token@example.org/team/it.git")
    assert origin(top) == "https://example.org/team/it.git"
    git(top, "remote", "add", "origin", "git@example.org:team/it.git")
    assert origin(top) == "git@example.org:team/it.git"


def test_what_is_missing_is_said(top: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="git remote add origin ADDRESS"):
        origin(top)
    (tmp_path / "empty").mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path / "empty", check=True)
    with pytest.raises(UserError, match="nothing is committed yet"):
        snapshot(tmp_path / "empty")
