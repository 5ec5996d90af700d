"""Runs and data versions, shared by two clones through a folder: what a person and what a program is told."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gliaflow.as_dvc import reproduce
from gliaflow.cli import share
from gliaflow.errors import UserError
from tests.support.repos import Project, copies

LICENCE = "CC0-1.0"


@pytest.fixture
def shared(new_project: Callable[..., Project], tmp_path: Path) -> Project:
    """A repository with two commits whose data is computed, and an empty remote."""
    made = new_project()
    made.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    made.pipeline({"s": copies("seed.txt", "o.txt"), "m": copies("o.txt", "m.json", outs=[], metrics=["m.json"])})
    for text in ("1\n", "2\n"):
        made.write({"seed.txt": text})
        reproduce(made.root, prefect=False)
        made.commit()
    return made


def twin(project: Project, root: Path) -> Project:
    """The clone of somebody else, with nothing in its cache."""
    made = project.copy(root)
    made.run("rm", "-r", ".dvc/cache")
    return made


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a program reads."""
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    return json.loads(said)


def test_push_and_fetch(shared: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share.push(repo=shared.root)
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "pushed 4 runs, 2 objects"
    other = twin(shared, tmp_path / "twin")
    share.fetch(repo=other.root, as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"records": 4, "objects": 2, "incomplete": {}, "gone": []}
    assert "fetching 4 records of runs" in said.err
    share.push(repo=other.root, remote="store", jobs=2, verify=True, as_json=True)
    assert document(capsys) == {"records": 0, "objects": 0, "incomplete": {}, "gone": []}


def test_what_is_incomplete_is_told_and_is_an_error(
    shared: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    share.push(repo=shared.root)
    for file in (tmp_path / "store/files").rglob("*"):
        if file.is_file() and file.stat().st_size:
            file.chmod(0o644)
            file.write_text("damaged")
            file.chmod(0o444)  # as DVC protects what it has seen; else it drops the file itself
    capsys.readouterr()
    other = twin(shared, tmp_path / "twin")
    with pytest.raises(UserError, match="4 runs are not complete and were left out, see above"):
        share.fetch(repo=other.root, as_json=True)
    said = capsys.readouterr()
    assert len(json.loads(said.out)["incomplete"]) == 4
    assert "is damaged on the remote" in said.err
    with pytest.raises(UserError, match="4 runs are not complete"):
        share.fetch(repo=other.root)
    assert capsys.readouterr().out.count("incomplete: run ") == 4


def test_versions(shared: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    share.push(repo=shared.root)
    shared.dvc("push")
    capsys.readouterr()
    share.publish("v1", licence=LICENCE, repo=shared.root)
    assert capsys.readouterr().out.startswith("v1: 2 outputs, 2 files, 4 bytes")
    share.publish("v2", licence=LICENCE, repo=shared.root, as_json=True)
    assert document(capsys)["parents"] == ["v1"]

    share.versions(repo=shared.root)
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == ["v2", "v1"]
    share.versions(repo=shared.root, as_json=True)
    assert [one["name"] for one in document(capsys)] == ["v2", "v1"]
    share.versions("v1", repo=shared.root)
    assert f"licence: {LICENCE}" in capsys.readouterr().out.splitlines()
    share.versions("v1", repo=shared.root, as_json=True)
    assert document(capsys)["outputs"]["o.txt"]["bytes"] == 2

    out = tmp_path / "data"
    share.get("v1", out=out, repo=shared.root, as_json=True)
    assert document(capsys)["folder"] == str(out)
    assert (out / "o.txt").read_text() == "2\n"

    share.diff("v1", "v2", repo=shared.root)
    assert capsys.readouterr().out == "v1 and v2 are equal: 2 outputs, 4 bytes, 1 metrics\n"
    share.diff("v1", "v2", repo=shared.root, as_json=True)
    assert document(capsys)["equal"] is True


def test_a_version_is_written_where_one_stands(
    shared: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.dvc("push")
    share.publish("v1", licence=LICENCE, repo=shared.root)
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    share.get("v1", repo=shared.root)
    assert capsys.readouterr().out == f"v1: 2 outputs in {tmp_path / 'v1'}\n"
    with pytest.raises(UserError, match="is there already"):
        share.get("v1", repo=shared.root)


def test_a_tag_that_is_no_version_is_told_beside_the_others(
    shared: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    shared.dvc("push")
    share.publish("v1", licence=LICENCE, repo=shared.root)
    shared.run("git", "tag", "--annotate", "--message", "Data version broken", "broken")
    capsys.readouterr()
    share.versions(repo=shared.root)
    assert sorted(line.partition(":")[0] for line in capsys.readouterr().out.splitlines()) == ["broken", "v1"]
    share.versions(repo=shared.root, as_json=True)
    assert [one["name"] for one in document(capsys)] == ["v1"]


@pytest.mark.parametrize("ask", [share.push, share.fetch])
def test_no_jobs_and_no_repository(ask: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--jobs is 0; at least one file must be copied at once"):
        ask(jobs=0)
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        ask(repo=tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        ask(repo=tmp_path / "nowhere")
