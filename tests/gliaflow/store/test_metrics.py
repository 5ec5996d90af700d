"""Metrics by file and dotted name, and their change since the last commit."""

from pathlib import Path
from typing import Any

import pytest

from gliaflow.errors import UserError
from gliaflow.store.metrics import Metric, changes, flat, metrics, overview, text, values
from tests.support.repos import Project, environment


@pytest.fixture
def measured(tmp_path: Path) -> Project:
    """A repository with metrics of three kinds, one of them broken, and no commit."""
    made = Project(tmp_path / "project", environment(tmp_path, ""))
    files = ["a.json", "sub/b.yaml", "broken.json", "one.json"]
    made.pipeline({}, metrics=files)
    made.write({"a.json": '{"dice": {"mean": 0.5, "n": 3}, "of": "last"}', "sub/b.yaml": "loss: 0.25\n"})
    made.write({"broken.json": "{", "one.json": "7"})
    return made


def test_by_file_from_the_root_wherever_one_stands(measured: Project) -> None:
    expected: dict[str, dict[str, Any]] = {
        "a.json": {"dice.mean": 0.5, "dice.n": 3, "of": "last"},
        "one.json": {"": 7},
        "sub/b.yaml": {"loss": 0.25},
    }
    assert metrics(measured.root) == metrics(measured.root / "sub") == expected


def test_changes_since_the_last_commit(measured: Project) -> None:
    assert {row["since HEAD"] for row in changes(values(measured.root))} == {"new"}
    measured.commit()
    assert {row["since HEAD"] for row in changes(values(measured.root))} == {""}
    measured.write({"a.json": '{"dice": {"mean": 0.625, "n": 2}, "of": "best", "more": 1}'})
    found = [(row["metric"], row["value"], row["since HEAD"]) for row in changes(values(measured.root / "sub"))]
    assert found == [
        ("dice.mean", "0.625", "+0.125"),
        ("dice.n", "2", "-1"),
        ("of", "best", "was last"),
        ("more", "1", "new"),
        ("", "7", ""),
        ("loss", "0.25", ""),
    ]


def test_values_and_what_they_were_at_a_commit(measured: Project) -> None:
    measured.commit()
    commit = measured.run("git", "rev-parse", "HEAD").stdout.strip()
    measured.write({"a.json": '{"dice": {"mean": 0.625}, "more": 1}'})
    measured.commit()
    found = {one["metric"]: one for one in values(measured.root, commit)}
    assert found["dice.mean"] == {"file": "a.json", "metric": "dice.mean", "value": 0.625, "before": 0.5}
    assert found["more"] == {"file": "a.json", "metric": "more", "value": 1}


def test_without_git_all_is_new(tmp_path: Path) -> None:
    made = Project(tmp_path / "project", environment(tmp_path, ""))
    config = made.root / ".dvc/config"
    config.write_text(config.read_text().replace("[core]\n", "[core]\n    no_scm = true\n"))
    made.write({"a.json": '{"dice": 0.5}'})
    made.pipeline({}, metrics=["a.json"])
    row = {"file": "a.json", "metric": "dice", "value": "0.5", "since HEAD": "new"}
    assert changes(values(made.root)) == [row]


def test_the_overview_tells_what_the_last_stages_made(tmp_path: Path) -> None:
    made = Project(tmp_path / "project", environment(tmp_path, ""))
    made.write({"data.txt": "1", "live/train.json": '{"loss": 0.25}', "scores.json": '{"dice": 0.5}'})
    made.write({"own.json": '{"note": "x"}', "photos/1.png": "", "curves/loss.svg": "", "end/deep/dice.png": ""})
    made.dvc("add", "data.txt", "--no-commit")
    stages = {
        "split": {"cmd": "true", "deps": ["data.txt"], "outs": ["photos"]},
        "train": {"cmd": "true", "deps": ["photos"], "outs": ["live"], "plots": ["curves"]},
        "evaluate": {"cmd": "true", "deps": ["live"], "metrics": ["scores.json"], "outs": ["end"]},
    }
    made.pipeline(stages, metrics=["live/train.json", "own.json"])
    found = overview(made.root / "live")
    assert found.metrics == [
        Metric("live/train.json", "loss", 0.25, "new", final=False),
        Metric("own.json", "note", "x", "new", final=True),
        Metric("scores.json", "dice", 0.5, "new", final=True),
    ]
    assert found.figures == ["curves", "end/deep"]


def test_an_evaluation_is_the_last_although_its_network_is_exported(tmp_path: Path) -> None:
    made = Project(tmp_path / "project", environment(tmp_path, ""))
    made.write({"data.txt": "1", "train.json": '{"loss": 0.25}', "scores.json": '{"dice": 0.5}', "end/dice.png": ""})
    stages = {
        "train": {"cmd": "true", "deps": ["data.txt"], "metrics": ["train.json"], "outs": ["model"]},
        "check": {"cmd": "true", "deps": ["model"], "outs": ["checked"]},
        "evaluate": {"cmd": "true", "deps": ["checked"], "metrics": ["scores.json"], "outs": ["end"]},
        "export": {"cmd": "true", "deps": ["scores.json"], "outs": ["card.md"]},  # which measures nothing
    }
    made.pipeline(stages)
    found = overview(made.root)
    assert {one.file: one.final for one in found.metrics} == {"train.json": False, "scores.json": True}
    assert found.figures == ["end"]


def test_no_repository_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="you are not inside of a DVC repository"):
        metrics(tmp_path)


def test_nested_names_are_joined_and_fractions_short() -> None:
    assert list(flat({"a": {"b": {"c": 1}, "d": {}}, "e": [2]})) == [("a.b.c", 1), ("e", [2])]
    assert [text(value) for value in (0.123456, 12, True, "best")] == ["0.1235", "12", "True", "best"]
