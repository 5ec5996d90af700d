"""Tables as lines; what cannot be drawn is told."""

import pytest

from gliaflow.page.drawing.plots import Line, NotDrawn, Row, chart, plot, rows, told

TABLE: list[Row] = [{"step": 0, "loss": 1.0, "name": "a"}, {"step": 2, "loss": "0.5", "name": "b"}]


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.csv", b"step,loss\n0,1.5\n1,2\n"),
        ("a.TSV", b"\xef\xbb\xbfstep\tloss\n0\t1.5\n1\t2\n"),
        ("a.json", b'[{"step": 0, "loss": 1.5}, {"step": 1, "loss": 2}]'),
        ("a.json", b'{"meta": 1, "train": [{"step": 0, "loss": 1.5}, {"step": 1, "loss": 2}]}'),
        ("a.yaml", b"- {step: 0, loss: 1.5}\n- {step: 1, loss: 2}\n"),
    ],
)
def test_tables_of_each_kind(name: str, data: bytes) -> None:
    made = plot({name: rows(data, name)}, {"x": "step"}, name)
    assert made.lines == [Line("loss", [(0, 1.5), (1, 2)])]


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.json", b"{", "cannot be read as JSON"),
        ("a.yaml", b"a: [", "cannot be read as YAML"),
        ("a.csv", b"\xff\xfe\xff", "cannot be read as CSV"),
        ("a.json", b'{"a": 1}', "holds no list of rows"),
    ],
)
def test_what_is_no_table(name: str, data: bytes, reason: str) -> None:
    with pytest.raises(NotDrawn, match=reason):
        rows(data, name)


def test_columns_as_dvc_yaml_names_them() -> None:
    made = plot({"a": TABLE}, {"x": "step", "y": "loss", "title": "T", "x_label": "X"}, "a")
    assert (made.title, made.x, made.y, made.lines) == ("T", "X", "loss", [Line("loss", [(0.0, 1.0), (2.0, 0.5)])])
    by_file = plot({"d/a": TABLE, "b": TABLE}, {"y": {"./d/a": ["loss", "step"], "b": "loss"}}, "a")
    assert [one.name for one in by_file.lines] == ["d/a: loss", "d/a: step", "b: loss"]
    assert by_file.lines[0].points == [(0.0, 1.0), (1.0, 0.5)]
    assert plot({"a": TABLE}, {"x": "name", "y": "loss"}, "a").lines[0].points == [(0.0, 1.0), (1.0, 0.5)]


@pytest.mark.parametrize(
    ("drawn", "reason"),
    [({"template": "confusion"}, "template 'confusion'"), ({"y": "name"}, "no numbers"), ({"y": "gone"}, "no numbers")],
)
def test_what_cannot_be_drawn(drawn: dict[str, object], reason: str) -> None:
    with pytest.raises(NotDrawn, match=reason):
        plot({"a": TABLE}, drawn, "a")


def test_numbers_that_are_none_are_left_out() -> None:
    values: list[object] = [1, "nan", None, float("inf"), "2", [], 10**400]
    table: list[Row] = [{"y": one} for one in values]
    assert plot({"a": table}, {}, "a").lines[0].points == [(0.0, 1.0), (4.0, 2.0)]


def test_a_chart_tells_in_words_what_it_shows() -> None:
    made = plot({"a": TABLE}, {"x": "step", "y": "loss"}, "a")
    assert told(made) == "a, by step: loss, 2 points, from 1 to 0.5"
    shown = chart(made)
    (curve,) = shown.iter("path")
    assert curve.get("d") == "M54.0 12.0L368.0 186.0"
    assert [one.text for one in shown.iter("text")][:3] == ["0.5", "0.6", "0.7"]


@pytest.mark.parametrize(
    "values", [[0.0], [3.0, 3.0], [-1e-300, 1e-300], [1e300, -1e300], [float(n) for n in range(5000)]]
)
def test_any_numbers_can_be_drawn(values: list[float]) -> None:
    table: list[Row] = [{"y": one} for one in values]
    made = plot({"a": table}, {"template": "scatter"} if len(values) == 1 else {}, "a")
    shown = chart(made)
    for curve in shown.iter("path"):
        assert str(curve.get("d")).count("L") <= 400
        assert "nan" not in str(curve.get("d"))
