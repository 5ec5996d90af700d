"""The commands that share runs and data versions: what a person and what a program is told, and how a mistake ends."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gliaflow.cli import share as commands
from gliaflow.errors import UserError
from tests.gliaflow.store.history import change, computed, holding, once, ran, teammate
from tests.gliaflow.versioning.published import ready, whole
from tests.support.repos import Project, stock

__all__ = ["computed", "once", "ready", "whole"]


def share(project: Project, *line: str, expect: int = 0) -> str:
    """What `gliaflow` says, on either stream."""
    ended = project.gliaflow(*line, expect=expect)
    assert expect == 0 or len(ended.stderr.strip().splitlines()) >= 1
    return ended.stdout + ended.stderr


def document(capsys: pytest.CaptureFixture[str]) -> Any:
    """What a program reads."""
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    return json.loads(said)


def test_push_and_fetch(computed: Project, tmp_path: Path) -> None:
    assert "pushed 9 runs" in share(computed, "push")
    assert "pushed 0 runs, 0 objects" in share(computed, "push")
    other = teammate(computed, tmp_path / "other" / "twin")
    assert "fetched 9 runs" in share(other, "fetch")
    shutil.rmtree(tmp_path / "store")
    other.write({"params.yaml": "p: 1\n"})
    stock(other.root)
    assert ran(other) == []


def test_a_program_reads_what_was_copied(computed: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.push(repo=computed.root, as_json=True)
    assert document(capsys) == {"records": 9, "objects": 10, "incomplete": {}, "gone": []}
    other = teammate(computed, tmp_path / "other" / "twin")
    commands.fetch(repo=other.root, as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == {"records": 9, "objects": 7, "incomplete": {}, "gone": []}
    assert "fetching 9 records of runs" in said.err.splitlines()
    commands.push(repo=other.root, remote="store", jobs=2, verify=True, as_json=True)
    assert document(capsys) == {"records": 0, "objects": 0, "incomplete": {}, "gone": []}


def test_what_is_incomplete_is_told_and_is_an_error(
    computed: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.push(repo=computed.root)
    damaged = change(holding("1\np: 3\n", tmp_path / "store/files/md5"), "1\np: 4\n", 0o444)  # so DVC sends it
    other = teammate(computed, tmp_path / "other" / "twin")
    capsys.readouterr()
    with pytest.raises(UserError, match="1 runs are not complete and were left out, see above"):
        commands.fetch(repo=other.root)
    told = capsys.readouterr().out.splitlines()
    assert "fetched 9 runs" in told[-2]
    assert told[-1].startswith("incomplete: run ")
    assert told[-1].endswith(f": missing, damaged or not copied: {damaged}")
    with pytest.raises(UserError, match="1 runs are not complete"):
        commands.fetch(repo=other.root, as_json=True)
    said = capsys.readouterr()
    assert list(json.loads(said.out)["incomplete"].values()) == [[damaged]]
    assert f"object {damaged} is damaged on the remote" in said.err


def test_what_is_gone_as_after_gc_is_no_error(computed: Project, capsys: pytest.CaptureFixture[str]) -> None:
    holding("1\np: 2\n", computed.root / ".dvc/cache/files/md5").unlink()
    commands.push(repo=computed.root)
    capsys.readouterr()
    commands.push(repo=computed.root)
    gone = "1 runs were not sent: what they made is neither here nor there, as after dvc gc"
    assert capsys.readouterr().out == f"pushed 0 runs, 0 objects\n{gone}\n"
    commands.push(repo=computed.root, as_json=True)
    assert len(document(capsys)["gone"]) == 1


def test_versions(whole: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "not on the remote: one.txt, three.txt, two; dvc push" in share(whole, "publish", "v1", expect=2)
    commands.push(repo=whole.root)
    assert share(whole, "versions") == "no version yet: `gliaflow publish NAME` makes one\n"
    assert "v1: 4 outputs" in share(whole, "publish", "v1")
    whole.commit()
    commands.publish("v2", licence="MIT", repo=whole.root)
    assert share(whole, "versions").splitlines()[0].startswith("v2: ")
    whole.run("git", "tag", "--message=Data version v0", "v0")
    capsys.readouterr()
    commands.versions(repo=whole.root)
    assert sorted(line[:4] for line in capsys.readouterr().out.splitlines()) == ["v0: ", "v1: ", "v2: "]
    commands.versions("v2", repo=whole.root)
    commit = whole.run("git", "rev-parse", "HEAD").stdout.strip()
    assert f"commit: {commit}\n" in capsys.readouterr().out
    commands.diff("v1", "v2", repo=whole.root)
    assert capsys.readouterr().out.endswith("\nlicence: CC0 → MIT\nparents: none → v1\n")
    commands.get("v1", out=tmp_path / "got", repo=whole.root)
    assert capsys.readouterr().out == f"v1: 4 outputs in {tmp_path}/got\n"


def test_a_program_reads_versions(whole: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands.push(repo=whole.root)
    capsys.readouterr()
    commands.publish("v1", repo=whole.root, as_json=True)
    first = document(capsys)
    assert (first["name"], first["licence"], len(first["outputs"])) == ("v1", ["CC0"], 4)
    whole.commit()
    commands.publish("v2", licence="MIT", repo=whole.root, as_json=True)
    second = document(capsys)
    assert second["parents"] == ["v1"]
    whole.run("git", "tag", "--message=Data version v0", "v0")
    commands.versions(repo=whole.root, as_json=True)
    said = capsys.readouterr()
    assert json.loads(said.out) == [second, first]
    assert said.err.startswith("v0: ")
    commands.versions("v1", repo=whole.root, as_json=True)
    assert document(capsys) == first
    commands.diff("v1", "v2", repo=whole.root, as_json=True)
    assert document(capsys)["licence"] == [["CC0"], "MIT"]
    commands.get("v1", out=tmp_path / "got", repo=whole.root, as_json=True)
    assert document(capsys) == {**first, "folder": str(tmp_path / "got")}


def test_a_version_is_written_where_one_stands(
    whole: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    commands.push(repo=whole.root)
    commands.publish("v1", repo=whole.root)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    capsys.readouterr()
    commands.get("v1", repo=whole.root)
    assert capsys.readouterr().out == f"v1: 4 outputs in {tmp_path / 'here/v1'}\n"
    with pytest.raises(UserError, match="is there already"):
        commands.get("v1", repo=whole.root)


def test_mistakes_are_one_line_and_exit_2(whole: Project) -> None:
    assert "error: 'v9' is no data version" in share(whole, "get", "v9", expect=2)
    for line in (
        ["publish"],
        ["diff", "v1"],
        ["diff"],
        ["versions", "v1", "v2"],
        ["push", "v1"],
        ["fetch", "--verify"],
    ):
        assert len(share(whole, *line, expect=2).splitlines()) == 1
    with pytest.raises(UserError, match="--jobs is 0; at least one file must be copied"):
        commands.push(jobs=0, repo=whole.root)


@pytest.mark.parametrize("ask", [commands.push, commands.fetch])
def test_no_repository_is_told(ask: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not inside of a DVC repository"):
        ask(repo=tmp_path)
    with pytest.raises(UserError, match="is no folder"):
        ask(repo=tmp_path / "nowhere")
