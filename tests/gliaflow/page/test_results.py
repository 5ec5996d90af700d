"""Metrics with their change, pictures within a budget, and plots."""

import base64
import json
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from gliaflow.core.report import Output, Recorded
from gliaflow.page import results
from gliaflow.page.facts import MetricFacts, RunFacts
from gliaflow.page.results import change
from tests.support.runs import PNG, cached, cached_folder, ended, told, whole


def text(*found: Element) -> str:
    return " ".join(" ".join(one.itertext()) for one in found)


@pytest.mark.parametrize(
    ("metric", "phrase"),
    [
        (MetricFacts("a", "x", 0.5, 0.25, known=True), "▲ +0.25"),
        (MetricFacts("a", "x", 1, 3, known=True), "▼ -2"),
        (MetricFacts("a", "x", 1, 1, known=True), ""),
        (MetricFacts("a", "x", "b", "a", known=True), "changed"),
        (MetricFacts("a", "x", None, None, known=True), ""),
        (MetricFacts("a", "x", 1), "new"),
        (MetricFacts("a", "x", "0.5", change="+0.1"), "+0.1"),
        (MetricFacts("a", "x", "0.5", change=""), ""),
    ],
)
def test_changes_of_metrics(metric: MetricFacts, phrase: str) -> None:
    assert change(metric) == phrase


def test_metrics_have_all_digits_of_the_journal(tmp_path: Path) -> None:
    run = whole(tmp_path)
    words, file = results.metrics(run)
    assert text(words) == "“Before” is commit ccccccc, which the run started from."
    assert [json.loads(str(one.get("value"))) for one in file.iter("data")][::2] == [0.8125, 3]
    rows = [text(one).split() for one in file.iter("tr")]
    assert rows[1] == ["dice", "0.75", "0.8125", "▲", "+0.0625"]
    assert "3 metrics, 3 changed" in text(file)


def test_long_files_of_metrics_are_folded(tmp_path: Path) -> None:
    run = whole(tmp_path)
    run.metrics = [MetricFacts(file, str(number), number) for file in ("a", "b", "c") for number in range(10)]
    assert [one.get("open") for one in results.metrics(run)[1:]] == ["", "", None]
    run.metrics = []
    assert text(*results.metrics(run)) == "No stage of this run made metrics."


def test_pictures_stand_in_the_page(tmp_path: Path) -> None:
    found = results.pictures(whole(tmp_path), 10_000)
    image = next(found.shown[0].iter("img"))
    assert base64.b64decode(str(image.get("src")).removeprefix("data:image/png;base64,")) == PNG
    assert image.get("alt") == "figures/fit.png, a picture that the stage fit@1 made"
    assert len(found.shown) == 2
    assert found.left == ["gone.png: it is neither in DVC's cache any more, nor where the run left it"]


def test_pictures_beyond_the_budget_are_named(tmp_path: Path) -> None:
    found = results.pictures(whole(tmp_path), 700)
    assert len(found.shown) == 1
    assert next(iter(found.left)).rpartition(": ")[2] == f"its {len(PNG)} B have no room on this page"
    assert text(*results.left_out([str(number) for number in range(20)])).endswith("11 and 8 more")
    assert results.left_out([]) == []


def plotted(tmp_path: Path, *outputs: Output, plots: object = ()) -> RunFacts:
    given = {"cache": str(tmp_path / "cache"), "plots": plots}
    run = told(tmp_path, [ended("a", 1, recorded=Recorded(outputs=outputs))], {"a": []}, **given)
    run.first["root"] = str(tmp_path)
    return run


def test_plots_of_stages_and_of_the_top_of_dvc_yaml(tmp_path: Path) -> None:
    table = cached(tmp_path / "cache", b"step,loss,dice\n0,1,0.1\n1,0.5,0.2\n")
    many = cached_folder(tmp_path / "cache", {"x.csv": b"a\n1\n2\n", "y.csv": b"b\n1\n2\n", "z.txt": b""})
    outputs = [Output("a.csv", table), Output("own.csv", table, "plot"), Output("many", many, "plot")]
    plots = [
        {"folder": str(tmp_path), "name": "both", "drawn": {"x": "step", "y": {"a.csv": ["loss", "dice"]}}},
        {"folder": str(tmp_path), "name": "own.csv", "drawn": {"y": "loss"}},
        {"folder": str(tmp_path / "sub"), "name": "../many/x.csv", "drawn": {}},
        {"folder": str(tmp_path), "name": "nobody.csv", "drawn": {}},
    ]
    grid, *left = results.plots(plotted(tmp_path, *outputs, plots=plots))
    assert [one.get("data-plot") for one in grid] == ["both", "own.csv", "many/x.csv", "many/y.csv"]
    assert "loss, 2 points, from 1 to 0.5; dice, 2 points, from 0.1 to 0.2" in text(grid[0])
    assert "own.csv, by row: loss" in text(grid[1])
    assert text(*left) == "Not shown: nobody.csv: no stage of this run made nobody.csv"


def test_plots_that_cannot_be_drawn_say_why(tmp_path: Path) -> None:
    table = cached(tmp_path / "cache", b"step,loss\n0,1\n")
    outputs = [
        Output("a.csv", table, "plot", drawn={"template": "confusion"}),
        Output("b.csv", "5" * 32, "plot"),
        Output("c.json", cached(tmp_path / "cache", b"{"), "plot"),
    ]
    grid, _, left = results.plots(plotted(tmp_path, *outputs))
    assert list(grid) == []
    assert [one.text for one in left] == [
        "a.csv: the template 'confusion' is drawn by dvc plots show alone",
        "b.csv: it is neither in DVC's cache any more, nor where the run left it",
        "c.json: it cannot be read as JSON",
    ]


def test_no_plots(tmp_path: Path) -> None:
    assert results.plots(plotted(tmp_path, Output("a.csv", "5" * 32))) == []
