"""Data versions: one name, the very bytes, whoever asks and however."""

import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dvc.api
import pytest

from gliaflow.cli.share import main
from gliaflow.errors import UserError
from gliaflow.versioning import versions
from tests.gliaflow.store.test_records import GRAPH, computed, holding, opened, ran, teammate
from tests.support.repos import GLIAFLOW, Project, reproduce

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
    """What `gliaflow` says, on either stream."""
    ended = project.run(*GLIAFLOW, *line, expect=expect)
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
    whole.run("git", "branch", "v1")  # which is another commit
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


def test_the_card_says_what_is_in_it(whole: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share(whole, "push")
    key = str(tmp_path / "key")
    whole.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
    config = f"[tag]\n\tgpgSign = true\n[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = {key}\n"
    (whole.root / ".git/config").write_text((whole.root / ".git/config").read_text() + config)
    share(whole, "publish", "v1")
    whole.commit()
    share(whole, "publish", "v2", "--licence", "MIT")
    assert share(whole, "list").splitlines()[0].startswith("v2: ")
    assert "SSH SIGNATURE" in whole.run("git", "cat-file", "tag", "v1").stdout
    card = share(whole, "show", "v2")
    commit = whole.run("git", "rev-parse", "HEAD").stdout.strip()
    for line in (f"commit: {commit}", "parents:\n- v1", "licence: MIT", "bytes: 30", "m.json:\n    dice: 0.9"):
        assert line in card
    assert "licence:\n- CC0" in share(whole, "show", "v1")
    whole.run("git", "tag", "--message=Data version v0", "v0")
    capsys.readouterr()
    main("list", repo=whole.root)
    assert sorted(line[:4] for line in capsys.readouterr().out.splitlines()) == ["v0: ", "v1: ", "v2: "]
    with pytest.raises(UserError, match="the tag 'v0' is called a data version and holds no card of one"):
        main("show", "v0", repo=whole.root)


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
    with pytest.raises(UserError, match="--jobs is 0; at least one file must be copied"):
        main("push", jobs=0, repo=whole.root)
    whole.pipeline(GRAPH | {"score": {"cmd": "echo {broken > m.json", "metrics": [{"m.json": {"cache": False}}]}})
    whole.pipeline({"more": {"cmd": "echo 2 > 2.txt", "outs": ["2.txt"]}}, "sub/dvc.yaml")
    reproduce(whole.root, all_pipelines=True)
    whole.write({"sub/2.txt": "3\n"})
    whole.commit()
    with opened(whole) as repo:
        with pytest.raises(UserError, match=r"sub/dvc.yaml:more; run it \(.* -P, or dvc repro -P\), and commit"):
            versions.publish(repo, "v2", "MIT", None)
        reproduce(whole.root, all_pipelines=True)
        whole.dvc("push")
        with pytest.raises(UserError, match=r"'m.json' cannot be read as metrics: Expecting property name"):
            versions.publish(repo, "v2", "MIT", None)


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
    with opened(whole) as repo:
        hook = origin / "hooks/pre-receive"
        hook.write_text(f"#!/bin/sh\nkill -USR1 {os.getpid()}\nsleep 60\n")
        hook.chmod(0o755)
        before = signal.signal(signal.SIGUSR1, lambda *_: sys.exit())
        try:
            with pytest.raises(SystemExit):
                versions.publish(repo, "v2", None, None)
        finally:
            signal.signal(signal.SIGUSR1, before)
            hook.unlink()
        assert whole.run("git", "tag").stdout == ""
        whole.run("git", "tag", "--message=Data version v3", "v3")  # as after a kill
        mend = r"'v3' is here, but not on origin: `git push origin refs/tags/v3` sends it, `git tag -d v3` removes it"
        with pytest.raises(UserError, match=mend):
            versions.publish(repo, "v3", None, None)


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


@pytest.mark.usefixtures("api")
def test_a_name_that_means_something_else_is_refused(project: Project, tmp_path: Path) -> None:
    origin = str(tmp_path / "origin.git")
    project.commit()
    for line in (f"init -q --bare {origin}", f"remote add origin {origin}", "tag a/b", "branch c",
                 "push -q origin HEAD:d HEAD:refs/tags/e", "update-ref -d refs/remotes/origin/d"):  # fmt: skip
        project.run("git", *line.split())
    short = project.run("git", "rev-parse", "--short", "HEAD").stdout.strip()
    names = dict.fromkeys(("HEAD", "workspace", "refs/heads/x", "a..b", "-d", "x" * 101), "cannot name a version")
    names |= {"a": "stand beside 'a/b'", "a/b/c": "stand beside 'a/b'", "e/f": "stand beside 'e'", "e": "is on origin"}
    names |= {"c": "'c' is a branch", "d": "'d' is a branch", short: "a commit to git already"}
    with opened(project) as repo:
        for name, message in names.items():
            with pytest.raises(UserError, match=message):
                versions.publish(repo, name, "MIT", None)


def test_bytes_of_a_damaged_cache_are_never_given(whole: Project, tmp_path: Path) -> None:
    """And neither HTTP nor a remote that has moved since is in the way."""
    main("push", repo=whole.root)
    main("publish", "v1", repo=whole.root)
    cache, store = whole.root / ".dvc/cache/files/md5", tmp_path / "store"
    for mode, text in ((0o644, "1\n"), (0o444, "1\np: 3\n")):  # DVC trusts what is write-protected
        damaged = holding(text, cache)
        damaged.chmod(0o644)
        damaged.write_text("4\n")
        damaged.chmod(mode)
    store.rename(tmp_path / "moved")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "moved")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    (whole.root / ".dvc/config.local").write_text(f"['remote \"web\"']\n    url = {url}\n")
    main("get", "v1", remote="web", out=tmp_path / "got", repo=whole.root)
    assert (tmp_path / "got/one.txt").read_text() == "1\n"
    assert (tmp_path / "got/three.txt").read_text() == "1\np: 3\n"
    for action in ("push", "fetch"):
        with pytest.raises(UserError, match="a remote over HTTP cannot be listed"):
            main(action, remote="web", repo=whole.root)
    server.shutdown()
    server.server_close()
    (whole.root / ".dvc/config.local").write_text(f"['remote \"store\"']\n    url = {tmp_path / 'moved'}\n")
    shutil.rmtree(cache)
    main("get", "v1", out=tmp_path / "again", repo=whole.root)
    assert (tmp_path / "again/two/b").read_text() == "p: 3\n"


def test_what_dvc_pushes_nowhere_is_in_no_version(
    project: Project, new_project: Callable[..., Project], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = new_project("source")
    source.write({"of.txt": "1\n"})
    source.commit()
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    project.dvc("import", str(source.root), "of.txt")
    outs = ["given.txt", {"kept.txt": {"push": False}}]
    project.pipeline({"make": {"cmd": "cp of.txt given.txt; cp of.txt kept.txt", "deps": ["of.txt"], "outs": outs}})
    reproduce(project.root)
    project.commit()
    source.write({"of.txt": "2\n"})  # which DVC's status tells
    source.commit()
    project.dvc("push")
    main("publish", "v1", licence="MIT", repo=project.root)
    said = "v1: 1 outputs, 1 files, 2 bytes\nnot in v1, since DVC pushes them nowhere: kept.txt, of.txt\n"
    assert said in capsys.readouterr().out
    main("get", "v1", out=tmp_path / "got", repo=project.root)
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["given.txt"]
