"""What is published is whole: committed, computed and on the remote, with a licence and metrics that can be read."""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.versioning.publish import publish as publish_in
from gliaflow.versioning.versions import read
from tests.gliaflow.store.history import GRAPH, opened, shared
from tests.gliaflow.versioning.published import LICENCE, get, publish, push
from tests.support.programs import installed
from tests.support.repos import Project, stock


def refused(project: Project, name: str, match: str, licence: str | None = None) -> None:
    """That the version is not published, and what is told."""
    with pytest.raises(UserError, match=match):
        publish(project, name, licence)


def test_the_card_of_a_signed_version_is_read_as_well(whole: Project, tmp_path: Path) -> None:
    key = str(tmp_path / "key")
    whole.run(installed("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-f", key)
    push(whole)
    config = f"[tag]\n\tgpgSign = true\n[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = {key}\n"
    (whole.root / ".git/config").write_text((whole.root / ".git/config").read_text() + config)
    with opened(whole) as repo:
        version = publish_in(repo, "v1", "MIT", say=lambda _: None)
        assert read(repo, "v1") == version
    assert "SSH SIGNATURE" in whole.run("git", "cat-file", "tag", "v1").stdout


def test_the_card_says_what_is_in_it(whole: Project) -> None:
    push(whole)
    publish(whole, "v1")
    whole.commit()
    with opened(whole) as repo:
        version = publish_in(repo, "v2", "MIT", say=lambda _: None)
        assert read(repo, "v2") == version
        card, first = version.text(), read(repo, "v1").text()
    commit = whole.run("git", "rev-parse", "HEAD").stdout.strip()
    for line in (f"commit: {commit}", "parents:\n- v1", "licence: MIT", "bytes: 30", "m.json:\n    dice: 0.9"):
        assert line in card
    assert "licence:\n- CC0" in first


def test_the_card_is_the_same_from_any_folder(whole: Project) -> None:
    push(whole)
    whole.write({"data/README.md": LICENCE + "| Licence | MIT |\n"})
    whole.commit()
    publish(whole, "v1")
    with opened(whole) as repo:
        os.chdir(whole.root / "data")
        version = publish_in(repo, "v2", say=lambda _: None)
        assert version.licence == ("CC0", "MIT")
        assert version.metrics == read(repo, "v1").metrics == {"m.json": {"dice": 0.9}}


def test_what_is_not_whole_is_not_published(whole: Project) -> None:
    refused(whole, "v1", "not on the remote: one.txt, three.txt, two; dvc push them first")
    push(whole)
    whole.write({"seed.txt": "2\n", "new.txt": ""})
    refused(whole, "v1", "not everything is committed: seed.txt, new.txt")
    whole.commit()
    refused(whole, "v1", r"the data is not that of dvc.lock: one; run it \(gliaflow repro\), and commit")
    whole.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    (whole.root / "data/README.md").unlink()
    whole.commit()
    refused(whole, "v1", "which licence has the data?")
    assert whole.run("git", "tag").stdout == ""
    publish(whole, "v1", "MIT")
    refused(whole, "v1", "'v1' is there already", "MIT")
    refused(whole, "a..b", "'a..b' cannot name a version")


def test_another_pipeline_and_metrics_that_cannot_be_read(whole: Project) -> None:
    push(whole)
    whole.pipeline(GRAPH | {"score": {"cmd": "echo {broken > m.json", "metrics": [{"m.json": {"cache": False}}]}})
    whole.pipeline({"more": {"cmd": "echo 2 > 2.txt", "outs": ["2.txt"]}}, "sub/dvc.yaml")
    stock(whole.root, all_pipelines=True)
    whole.write({"sub/2.txt": "3\n"})
    whole.commit()
    refused(whole, "v2", r"sub/dvc.yaml:more; run it \(.* -P, or dvc repro -P\), and commit", "MIT")
    stock(whole.root, all_pipelines=True)
    whole.dvc("push")
    refused(whole, "v2", r"'m.json' cannot be read as metrics: Expecting property name", "MIT")


def test_a_version_goes_where_the_commits_are(whole: Project, tmp_path: Path) -> None:
    push(whole)
    origin = tmp_path / "origin.git"
    whole.run("git", "init", "--quiet", "--bare", str(origin))
    whole.run("git", "remote", "add", "origin", str(origin))
    refused(whole, "v1", "HEAD is on no branch of origin; git push it first")
    whole.run("git", "push", "--quiet", "origin", "HEAD:main")
    publish(whole, "v1")
    assert "refs/tags/v1" in whole.run("git", "ls-remote", "--tags", "origin").stdout
    whole.run("git", "tag", "--delete", "v1")
    refused(whole, "v1", "'v1' is on origin already")
    with opened(whole) as repo:
        hook = origin / "hooks/pre-receive"
        hook.write_text(f"#!/bin/sh\nkill -USR1 {os.getpid()}\nsleep 1200\n")
        hook.chmod(0o755)
        before = signal.signal(signal.SIGUSR1, lambda *_: sys.exit())
        try:
            with pytest.raises(SystemExit):
                publish_in(repo, "v2")
        finally:
            signal.signal(signal.SIGUSR1, before)
            hook.unlink()
        assert whole.run("git", "tag").stdout == ""
        whole.run("git", "tag", "--message=Data version v3", "v3")  # as after a kill
        repair = r"'v3' is here, but not on origin: `git push origin refs/tags/v3` sends it, `git tag -d v3` removes it"
        with pytest.raises(UserError, match=repair):
            publish_in(repo, "v3")


def test_what_dvc_pushes_nowhere_is_in_no_version(
    project: Project, new_project: Callable[..., Project], tmp_path: Path
) -> None:
    source = new_project("source")
    source.write({"of.txt": "1\n"})
    source.commit()
    shared(project, tmp_path / "store")
    project.dvc("import", str(source.root), "of.txt")
    outs = ["given.txt", {"kept.txt": {"push": False}}]
    project.pipeline({"make": {"cmd": "cp of.txt given.txt; cp of.txt kept.txt", "deps": ["of.txt"], "outs": outs}})
    stock(project.root)
    project.commit()
    source.write({"of.txt": "2\n"})  # which DVC's status tells
    source.commit()
    project.dvc("push")
    assert publish(project, "v1", "MIT") == [
        "v1: 1 outputs, 1 files, 2 bytes",
        "the tag v1 is in this repository alone, which has no git remote",
        "not in v1, since DVC pushes them nowhere: kept.txt, of.txt",
    ]
    get(project, "v1", tmp_path / "got")
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["given.txt"]
