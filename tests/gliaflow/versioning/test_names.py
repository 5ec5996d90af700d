"""Which names a version may have, and that it goes where the commits are."""

from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.versioning import names
from tests.gliaflow.store.history import opened
from tests.support.repos import Project, environment


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A repository with one commit."""
    made = Project(tmp_path / "project", environment(tmp_path, ""))
    made.commit()
    return made


def test_a_name_that_means_something_else_is_refused(project: Project, tmp_path: Path) -> None:
    origin = str(tmp_path / "origin.git")
    for line in (f"init -q --bare {origin}", f"remote add origin {origin}", "tag a/b", "branch c",
                 "push -q origin HEAD:d HEAD:refs/tags/e", "update-ref -d refs/remotes/origin/d"):  # fmt: skip
        project.run("git", *line.split())
    short = project.run("git", "rev-parse", "--short", "HEAD").stdout.strip()
    refused = dict.fromkeys(("HEAD", "workspace", "refs/heads/x", "a..b", "-d", "x" * 101), "cannot name a version")
    refused |= {"a": "stand beside 'a/b'", "a/b/c": "stand beside 'a/b'", "e/f": "stand beside 'e'"}
    refused |= {"c": "'c' is a branch", "d": "'d' is a branch", short: "a commit to git already", "e": "is on origin"}
    with opened(project) as repo:
        for name, message in refused.items():
            with pytest.raises(UserError, match=message):
                names.may_name(repo, name, names.shared_remote(repo))
        names.may_name(repo, "v1", names.shared_remote(repo))


def test_a_name_that_is_taken_is_refused(project: Project, tmp_path: Path) -> None:
    origin = str(tmp_path / "origin.git")
    project.run("git", "tag", "other")
    with opened(project) as repo:
        assert names.shared_remote(repo) is None
        names.tag(repo, "v1", "a: 1\n", None)
        for name in ("v1", "other"):
            with pytest.raises(UserError, match=f"'{name}' is there already, and a version never moves"):
                names.may_name(repo, name, None)
        project.run("git", "init", "-q", "--bare", origin)
        project.run("git", "remote", "add", "origin", origin)
        repair = r"'v1' is here, but not on origin: `git push origin refs/tags/v1` sends it, `git tag -d v1` removes it"
        with pytest.raises(UserError, match=repair):  # as after a kill
            names.may_name(repo, "v1", "origin")
        names.tag(repo, "v2", "a: 2\n", "origin")
        project.run("git", "tag", "--delete", "v2")
        with pytest.raises(UserError, match="'v2' is on origin already"):
            names.may_name(repo, "v2", "origin")


def test_a_tag_is_annotated_and_holds_the_card(project: Project) -> None:
    with opened(project) as repo:
        for number in (1, 2, 10):
            names.tag(repo, f"v{number}", f"# no comment\nnumber: {number}\n", None)
        project.run("git", "tag", "plain")
        project.run("git", "tag", "--message=Data version v1", "v1-copy")
        assert names.listed(repo) == ["v10", "v2", "v1"]  # the newest first, of one second by number
        assert names.card_of(repo, "v2").strip() == "# no comment\nnumber: 2"
        for name in ("plain", "v1-copy", "v9"):
            with pytest.raises(UserError, match=rf"'{name}' is no data version .* there are: v10, v2, v1"):
                names.card_of(repo, name)
    assert project.run("git", "cat-file", "-t", "v1").stdout == "tag\n"


def test_a_tag_that_the_remote_refuses_is_not_here_either(project: Project, tmp_path: Path) -> None:
    origin = tmp_path / "origin.git"
    project.run("git", "init", "-q", "--bare", str(origin))
    project.run("git", "remote", "add", "origin", str(origin))
    (origin / "hooks/pre-receive").write_text("#!/bin/sh\nexit 1\n")
    (origin / "hooks/pre-receive").chmod(0o755)
    with opened(project) as repo, pytest.raises(UserError, match="rejected"):
        names.tag(repo, "v1", "a: 1\n", "origin")
    assert project.run("git", "tag").stdout == ""


def test_without_any_version_there_are_none_yet(project: Project) -> None:
    with opened(project) as repo, pytest.raises(UserError, match="there are: none yet"):
        names.card_of(repo, "v1")
