"""What a ledger remembers: also where a line was cut off, and an experiment was renamed or removed."""

from pathlib import Path

import pytest

from gliaflow.experiments.ledger import Ledger, experiment_names, identity
from gliaflow.experiments.results import Experiment, Fate
from gliaflow.machine.git import git


@pytest.fixture
def top(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-qm", "first", "--allow-empty")
    return tmp_path


def commit(top: Path) -> str:
    return git(top, "rev-parse", "HEAD").stdout.strip()


def test_an_experiment_is_known_as_long_as_git_has_it(top: Path) -> None:
    ledger, rev = Ledger(top / "deep/ledger.jsonl"), commit(top)
    one = Experiment("first-name", {"a": "1"}, Fate.DONE, rev)
    ledger.begin("key", "first-name")
    ledger.end("key", one)
    assert ledger.names() == {"key": "first-name"}
    assert ledger.done(top) == {}
    git(top, "update-ref", f"refs/exps/{rev[:2]}/{rev[2:]}/second-name", rev)
    assert {key: found.name for key, found in ledger.done(top).items()} == {"key": "second-name"}
    assert experiment_names(top) == {rev: "second-name"}
    assert ledger.revs() == {rev}


def test_refs_that_are_no_experiments(top: Path) -> None:
    for ref in ("refs/exps/stash", "refs/exps/exec/EXEC_HEAD", "refs/exps/celery/stash"):
        git(top, "update-ref", ref, commit(top))
    assert experiment_names(top) == {}


def test_a_line_that_was_cut_off_is_passed_over(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl")
    ledger.begin("a", "x")
    with (tmp_path / "ledger.jsonl").open("ab") as file:
        file.write(b'{"set": "b", "na')
    ledger.begin("c", "z")
    assert ledger.names() == {"a": "x", "c": "z"}


def test_identity_is_of_the_content() -> None:
    assert identity({"a": 1, "b": [2]}) == identity({"b": [2], "a": 1}) != identity({"a": 1, "b": [3]})
