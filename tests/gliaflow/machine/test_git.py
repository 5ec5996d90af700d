"""Git: what it says in one line when something is wrong, and whether that may pass."""

import time
from pathlib import Path
from threading import Thread

import psutil
import pytest

from gliaflow.errors import TransientError, UserError
from gliaflow.machine import git as module
from gliaflow.machine.git import git, remote, top
from gliaflow.machine.retry import retry
from tests.support.repos import soon


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """An empty one."""
    git(tmp_path, "init", "--quiet", "repository")
    return tmp_path / "repository"


def test_the_top_is_found_from_below_and_is_nowhere_outside(repository: Path) -> None:
    (repository / "a/b").mkdir(parents=True)
    assert top(repository / "a/b") == repository
    with pytest.raises(UserError, match="not a git repository") as caught:
        top(repository.parent)
    assert "\n" not in str(caught.value)
    assert module.running == set()


def test_the_remote_is_origin_or_else_the_first(repository: Path) -> None:
    assert remote(repository) is None
    git(repository, "remote", "add", "upstream", "x")
    assert remote(repository) == "upstream"
    git(repository, "remote", "add", "origin", "y")
    assert remote(repository) == "origin"


def test_input_and_environment_reach_git(repository: Path) -> None:
    assert git(repository, "hash-object", "--stdin", input="").stdout == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391\n"
    assert git(repository, "var", "GIT_AUTHOR_IDENT", env=module.WHO).stdout.startswith("gliaflow <gliaflow> ")


def test_a_failure_is_told_only_if_it_is_looked_for(repository: Path) -> None:
    assert git(repository, "rev-parse", "--verify", "--quiet", "HEAD", check=False).returncode == 1
    with pytest.raises(UserError, match=r"^git rev-parse failed$"):
        git(repository, "rev-parse", "--verify", "--quiet", "HEAD")


def test_far_away_only_what_lasts_is_the_users(repository: Path) -> None:
    missing = str(repository.parent / "missing.git")
    with pytest.raises(UserError, match=r"does not exist|not appear to be"):
        git(repository, "ls-remote", missing, far=True)
    with pytest.raises(TransientError):
        git(repository, "ls-remote", "http://127.0.0.1:9/it.git", far=True)
    with pytest.raises(UserError):
        git(repository, "ls-remote", "http://127.0.0.1:9/it.git")


def test_what_takes_too_long_is_ended(repository: Path) -> None:
    with pytest.raises(TransientError, match=r"^git -c took longer than 0\.1 s$"):
        git(repository, "-c", "alias.wait=!sleep 1200", "wait", far=True, seconds=0.1)


def test_one_that_is_ended_leaves_nothing_and_is_not_tried_again(repository: Path) -> None:
    begun, errors = repository / "begun", list[BaseException]()
    # which starts a process every moment, in a session of its own
    alias = f"alias.wait=!echo x >> '{begun}'; while :; do setsid tail -f '{begun}' & sleep 0.01; done"

    def tried() -> None:
        try:
            retry(lambda: git(repository, "-c", alias, "wait", far=True))
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=tried)
    thread.start()
    assert soon(begun.exists)
    time.sleep(0.2)
    module.end()
    thread.join(10)
    assert [type(error) for error in errors] == [InterruptedError]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(begun) in " ".join(p.info["cmdline"] or [])]
    assert begun.read_text() == "x\n"
    assert module.running == set()
