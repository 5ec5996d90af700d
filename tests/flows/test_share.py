"""Data versions: one name, the very bytes, whoever asks and however."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import dvc.api
import pytest

from flows.repro import reproduce
from tests.flows.repos import Project
from tests.flows.test_remote import GRAPH, computed, holding, ran, teammate

__all__ = ["computed"]  # a fixture

LICENCE = "| Licence | CC0 |\n"


@pytest.fixture
def whole(computed: Project) -> Project:
    """A project whose last commit is ready to be published."""
    metric = {"m.json": {"cache": False}}
    score = {"cmd": "echo '{\"dice\": 0.9}' > m.json", "deps": ["three.txt"], "metrics": [metric]}
    computed.pipeline(GRAPH | {"score": score})
    computed.write({"data/README.md": LICENCE})
    reproduce(computed.root)
    computed.commit()
    return computed


def share(project: Project, *line: str, expect: int = 0) -> str:
    """What `python -m flows.share` says, on either stream."""
    ended = project.run(sys.executable, "-m", "flows.share", *line, expect=expect)
    assert expect == 0 or len(ended.stderr.strip().splitlines()) >= 1
    return ended.stdout + ended.stderr


def test_push_and_fetch(computed: Project, tmp_path: Path) -> None:
    assert "pushed 9 runs" in share(computed, "push")
    assert "pushed 0 runs, 0 objects" in share(computed, "push")
    other = teammate(computed, tmp_path / "other" / "twin")
    assert "fetched 9 runs" in share(other, "fetch")
    shutil.rmtree(tmp_path / "store")
    other.write({"params.yaml": "p: 1\n"})
    reproduce(other.root)
    assert ran(other) == []


def test_what_no_run_made_is_mended_as_well(whole: Project, tmp_path: Path) -> None:
    whole.write({"raw.txt": "raw\n"})
    whole.dvc("add", "raw.txt")
    whole.dvc("push")
    share(whole, "push")
    damaged = holding("raw\n", tmp_path / "store/files/md5")
    damaged.chmod(0o644)
    damaged.write_text("war\n")
    assert "pushed 0 runs, 0 objects" in share(whole, "push")
    assert "pushed 0 runs, 1 objects" in share(whole, "push", "--verify")
    assert damaged.read_text() == "raw\n"
    assert "--verify is for push" in share(whole, "fetch", "--verify", expect=2)


def test_a_version_is_the_very_bytes_for_all_who_ask(whole: Project, tmp_path: Path) -> None:
    share(whole, "push")
    assert "v1: 4 outputs" in share(whole, "publish", "v1")
    expected = {path: (whole.root / path).read_bytes() for path in ("one.txt", "two/a", "two/b", "three.txt", "m.json")}
    whole.write({"params.yaml": "p: 8\n"})
    reproduce(whole.root)
    whole.commit()
    other = teammate(whole, tmp_path / "other" / "twin")
    assert "v1: 4 outputs in" in share(other, "get", "v1", "--out", "got")
    assert {path: (other.root / "got" / path).read_bytes() for path in expected} == expected
    shutil.rmtree(other.root / ".dvc/cache")
    for path, text in expected.items():
        assert dvc.api.read(path, repo=str(other.root), rev="v1", mode="rb") == text
    other.dvc("get", ".", "two", "--rev", "v1", "--out", "plain")
    assert (other.root / "plain/b").read_bytes() == expected["two/b"]
    third = Project(tmp_path / "third", whole.environment)
    third.dvc("import", str(other.root), "two", "--rev", "v1")
    assert (third.root / "two/a").read_bytes() == expected["two/a"]


def test_the_card_says_what_is_in_it(whole: Project) -> None:
    share(whole, "push")
    share(whole, "publish", "v1")
    whole.commit()
    share(whole, "publish", "v2", "--licence", "MIT")
    assert share(whole, "list").splitlines()[0].startswith("v2: ")
    card = share(whole, "show", "v2")
    commit = whole.run("git", "rev-parse", "HEAD").stdout.strip()
    for line in (f"commit: {commit}", "parents:\n- v1", "licence: MIT", "bytes: 30", "m.json:\n    dice: 0.9"):
        assert line in card
    assert "licence:\n- CC0" in share(whole, "show", "v1")


def test_what_is_not_whole_is_not_published(whole: Project) -> None:
    assert "not on the remote: one.txt, three.txt, two; dvc push" in share(whole, "publish", "v1", expect=2)
    share(whole, "push")
    whole.write({"seed.txt": "2\n", "new.txt": ""})
    assert "not everything is committed: seed.txt, new.txt" in share(whole, "publish", "v1", expect=2)
    whole.commit()
    assert "the data is not that of dvc.lock: one" in share(whole, "publish", "v1", expect=2)
    whole.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    (whole.root / "data/README.md").unlink()
    whole.commit()
    assert "which licence has the data?" in share(whole, "publish", "v1", expect=2)
    assert share(whole, "list") == ""
    share(whole, "publish", "v1", "--licence", "MIT")
    assert "'v1' is there already" in share(whole, "publish", "v1", "--licence", "MIT", expect=2)
    assert "'a..b' cannot name a version" in share(whole, "publish", "a..b", expect=2)
    assert "'v9' is no data version" in share(whole, "get", "v9", expect=2)
    assert "there are: v1" in share(whole, "get", "v9", expect=2)
    assert "publish takes the name of a version" in share(whole, "publish", expect=2)


def test_a_version_goes_where_the_commits_are(whole: Project, tmp_path: Path) -> None:
    share(whole, "push")
    origin = tmp_path / "origin.git"
    whole.run("git", "init", "--quiet", "--bare", str(origin))
    whole.run("git", "remote", "add", "origin", str(origin))
    assert "HEAD is on no branch of origin; git push it first" in share(whole, "publish", "v1", expect=2)
    whole.run("git", "push", "--quiet", "origin", "HEAD:main")
    share(whole, "publish", "v1")
    assert "refs/tags/v1" in whole.run("git", "ls-remote", "--tags", "origin").stdout
    whole.run("git", "tag", "--delete", "v1")
    assert "'v1' is on origin already" in share(whole, "publish", "v1", expect=2)


def test_a_damaged_or_missing_object_is_named_and_nothing_is_written(whole: Project, tmp_path: Path) -> None:
    share(whole, "push")
    share(whole, "publish", "v1")
    store = tmp_path / "store/files/md5"
    bad = holding("1\np: 3\n", store)
    bad.chmod(0o644)
    bad.write_text("1\np: 4\n")
    other = teammate(whole, tmp_path / "other" / "twin")
    oid = bad.parent.name + bad.name
    assert f"three.txt: object {oid} is missing or damaged on the remote" in share(other, "get", "v1", expect=2)
    bad.unlink(missing_ok=True)  # on a local remote DVC removes it by itself
    assert f"three.txt: object {oid} is missing or damaged on the remote" in share(other, "get", "v1", expect=2)
    assert not (other.root / "v1").exists()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("[]")])
def test_a_version_whose_listing_is_gone_is_said(
    whole: Project, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    share(whole, "push")
    share(whole, "publish", "v1")
    for listing in (tmp_path / "store/files/md5").rglob("*.dir"):
        listing.chmod(0o644)
        damage(listing)
    other = teammate(whole, tmp_path / "other" / "twin")
    assert "error: 'two': the listing of its folder, " in share(other, "get", "v1", expect=2)
    assert not (other.root / "v1").exists()
