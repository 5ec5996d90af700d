"""`gliaflow metrics`: which come first, that nothing is cut, and what a program reads."""

import json
from collections.abc import Sequence

import pytest

from gliaflow.cli.metrics import HEADLINE, NONE, headline, metrics, table
from gliaflow.store.metrics import Metric
from tests.support.repos import Project, copies


def metric(name: str, value: object = 0.5, file: str = "a.json", final: bool = True, change: str = "") -> Metric:
    """One with what matters set."""
    return Metric(file, name, value, change, final)


def names(found: Sequence[Metric]) -> list[str]:
    """Of a file and a metric, one after another."""
    return [f"{one.file} {one.name}" for one in found]


def test_the_last_stages_come_first_one_of_each_file_in_turn() -> None:
    found = [
        *(metric(f"m{number}", file="a.json") for number in range(5)),
        *(metric(f"m{number}", file="b.json", final=False) for number in range(5)),
        *(metric(f"m{number}", file="c.json") for number in range(3)),
    ]
    assert names(headline(found)) == [
        *("a.json m0", "a.json m1", "a.json m2"),
        *("c.json m0", "c.json m1", "c.json m2"),
    ]
    assert names(headline(found, 4)) == ["a.json m0", "a.json m1", "c.json m0", "c.json m1"]
    assert len(headline(found)) == HEADLINE
    few = [metric("m0", final=False, file="b.json"), metric("m0", file="c.json")]
    assert headline(few) == few


def test_fractions_come_before_counts_and_outer_names_before_nested_ones() -> None:
    found = [metric("by.site", 0.1), metric("count", 3), metric("kind", "last"), metric("dice"), metric("good", True)]
    assert names(headline(found, 1)) == ["a.json dice"]
    assert names(headline(found, 2)) == ["a.json by.site", "a.json dice"]
    assert names(headline(found, 3)) == ["a.json by.site", "a.json count", "a.json dice"]


def test_the_same_number_of_two_metrics_is_two_metrics() -> None:
    found = [metric("a", 1.0), metric("b", 1.0)]
    assert names(headline(found, 1)) == ["a.json a"]


def test_columns_are_as_wide_as_what_stands_in_them() -> None:
    long = "x" * 200
    found = [metric("dice", 0.123456, change="+0.1"), metric("of", long), metric("n", 3, "b.json", change="new")]
    assert list(table(found)) == [
        f"  metric  {'value':<200}  since HEAD",
        "a.json",
        f"  dice    {'0.1235':<200}  +0.1",
        f"  of      {long}",
        "b.json",
        f"  n       {'3':<200}  new",
    ]


def test_a_value_of_several_lines_is_on_one() -> None:
    assert list(table([metric("of", "a\nb")]))[-1] == "  of      a b"


@pytest.fixture
def measured(project: Project) -> Project:
    """A training and an evaluation that have run, each with metrics, the latter with a figure."""
    project.write({"seed.txt": "1\n", "train.json": '{"loss": 0.25, "step": 9}', "figure.png": "picture"})
    project.write({"scores.json": json.dumps({"a": "last", "dice": 0.5, "n": {str(n): n for n in range(9)}})})
    project.pipeline({
        "train": copies("seed.txt", "model.txt", metrics=[{"train.json": {"cache": False}}]),
        "evaluate": {
            "cmd": "mkdir -p out/figures && cp figure.png out/figures/ && cp figure.png out/table.csv",
            "deps": ["model.txt", "figure.png"],
            "metrics": [{"scores.json": {"cache": False}}],
            "plots": ["out/figures"],
            "outs": ["out/table.csv"],
        },
    })  # fmt: skip
    (project.root / "out/figures").mkdir(parents=True)
    (project.root / "out/figures/dice.png").write_text("picture")
    return project


def test_the_headline_then_how_to_see_the_rest(measured: Project, capsys: pytest.CaptureFixture[str]) -> None:
    metrics(repo=measured.root)
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "metric value since HEAD",
        "scores.json",
        "a last new",
        "dice 0.5 new",
        *(f"n.{number} {number} new" for number in range(4)),
        "--all for the other 7",
        "Figures:",
        "out/figures/",
    ]
    metrics(repo=measured.root, every=True)
    said = capsys.readouterr().out
    assert "train.json" in said
    assert "--all" not in said


def test_each_file_of_the_last_stages_has_one(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    files = [f"{number}.json" for number in range(HEADLINE + 2)]
    project.write({"seed.txt": "1\n", **dict.fromkeys(files, '{"dice": 0.5, "nsd": 0.25}')})
    project.pipeline({
        file[0]: {"cmd": "true", "deps": ["seed.txt"], "metrics": [{file: {"cache": False}}]} for file in files
    })  # fmt: skip
    metrics(repo=project.root)
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.endswith(".json")] == files
    assert lines[-1] == f"--all for the other {len(files)}"


def test_a_program_reads_all_of_them_with_all_digits(measured: Project, capsys: pytest.CaptureFixture[str]) -> None:
    measured.write({"train.json": '{"loss": 0.123456789, "step": NaN}'})
    metrics(repo=measured.root / "out", as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["figures"] == ["out/figures"]
    assert found["metrics"]["train.json"] == {"loss": 0.123456789, "step": None}
    assert len(found["metrics"]["scores.json"]) == 11


def test_no_metrics_is_no_error(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    metrics(repo=project.root)
    assert capsys.readouterr().out == f"{NONE}\n"
    metrics(repo=project.root, as_json=True)
    assert json.loads(capsys.readouterr().out) == {"metrics": {}, "figures": []}
