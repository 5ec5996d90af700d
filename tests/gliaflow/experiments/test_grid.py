"""Sets of parameters, by hand."""

import json
from datetime import date
from pathlib import Path

import pytest
from dvc.utils.hydra import apply_overrides

from gliaflow.errors import BadInput
from gliaflow.experiments.grid import ParameterSet, literal, sets, varied


def values(*params: str) -> list[dict[str, str]]:
    return [one.values for one in sets(params)]


def test_every_combination_in_the_order_of_the_last_name() -> None:
    assert values("a=1,2", "b.c=range(1,3)") == [
        {"a": "1", "b.c": "1"},
        {"a": "1", "b.c": "2"},
        {"a": "2", "b.c": "1"},
        {"a": "2", "b.c": "2"},
    ]


def test_no_parameters_are_one_set() -> None:
    assert sets([]) == [ParameterSet({})]
    assert str(sets([])[0]) == "parameters as they are"


def test_another_file_stands_in_front_of_the_name() -> None:
    [one] = sets(["a=1", "conf/b.json:x.y=3"])
    assert one.overrides == {"params.yaml": ("a=1",), "conf/b.json": ("x.y=3",)}
    assert one.values == {"a": "1", "conf/b.json:x.y": "3"}
    assert str(one) == "a=1, conf/b.json:x.y=3"


@pytest.mark.parametrize(
    ("param", "expected"),
    [
        ("a=choice(x,y)", ["x", "y"]),
        ("a=[1,2],[3]", ["[1,2]", "[3]"]),
        ("a='x,y'", ["'x,y'"]),
        ("+a=1", ["1"]),
        ("++a=1", ["1"]),
    ],
)
def test_the_grammar_is_that_of_dvc(param: str, expected: list[str]) -> None:
    assert [one["a"] for one in values(param)] == expected


def test_equal_sets_are_one() -> None:
    assert values("a=1,1") == [{"a": "1"}]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("rows.csv", "a,b\n1,x\n2,\n"),
        ("rows.tsv", "a\tb\n1\tx\n2\t\n"),
        ("rows.json", '[{"a": 1, "b": "x"}, {"a": 2}]'),
        ("rows.jsonl", '{"a": 1, "b": "x"}\n\n{"a": 2}\n'),
        ("rows.yaml", "- {a: 1, b: x}\n- {a: 2}\n"),
    ],
)
def test_rows_of_a_file(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    found = [one.values for one in sets(["c=3,4"], tmp_path / name)]
    assert [{key: value.strip("'") for key, value in one.items()} for one in found] == [
        {"c": "3", "a": "1", "b": "x"},
        {"c": "4", "a": "1", "b": "x"},
        {"c": "3", "a": "2"},
        {"c": "4", "a": "2"},
    ]


def test_text_with_commas_in_json_is_one_value_and_in_csv_what_the_grammar_says(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text('[{"a": "it\'s 1, 2", "b": [1, "x"], "c": {"k": null}, "d": true}]')
    [one] = sets([], tmp_path / "rows.json")
    assert one.values == {"a": r"'it\'s 1, 2'", "b": "[1,'x']", "c": "{k:null}", "d": "True"}
    (tmp_path / "rows.csv").write_text('a\n"1,2"\n')
    assert [one.values for one in sets([], tmp_path / "rows.csv")] == [{"a": "1"}, {"a": "2"}]


@pytest.mark.parametrize(
    "value",
    [
        "plain",
        "it's",
        "a\\b",
        "a\\\\b",
        "\\'",
        "ends\\",
        "${a}",
        "1",
        "true",
        "",
        "a,b",
        "ü",
        "inf",
        [1, "x,y"],
        {"k": "v w"},
    ],
)
def test_values_come_through_dvc_as_they_are(tmp_path: Path, value: object) -> None:
    (tmp_path / "p.json").write_text(json.dumps({"a": 0}))
    apply_overrides(tmp_path / "p.json", [f"a={literal(value)}"])
    assert json.loads((tmp_path / "p.json").read_text()) == {"a": value}


@pytest.mark.parametrize(("value", "expected"), [(float("inf"), "inf"), (float("-inf"), "-inf"), (float("nan"), "nan")])
def test_numbers_that_are_not_finite(value: float, expected: str) -> None:
    assert literal(value) == expected
    assert literal(date(2020, 1, 2)) == "'2020-01-02'"


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (["a"], "-S a: no value; write NAME=VALUE"),
        (["a=[1"], r"-S a=\[1: "),
        (["a=glob(*)"], "Glob override"),
    ],
)
def test_what_cannot_be_understood(params: list[str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        sets(params)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("rows.txt", "a", "'.txt' is no kind of table"),
        ("rows.json", "{", "rows.json: "),
        ("rows.json", "{}", "no list of rows"),
        ("rows.json", "[1]", "row 1 is no mapping"),
        ("rows.json", '[{"": 1}]', "row 1 is no mapping"),
        ("rows.json", "[]", "no rows"),
        ("rows.csv", "a,b\n", "no rows"),
        ("rows.csv", "a\n1,2\n", "more cells than the header"),
        ("rows.yaml", "- {a", "rows.yaml: "),
        ("rows.csv", "a\n\xff\n", "rows.csv: "),
    ],
)
def test_a_file_that_cannot_be_understood(tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match=said):
        sets([], tmp_path / name)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        sets([], tmp_path / "rows.csv")


def test_what_varies_between_sets() -> None:
    assert varied(sets(["a=1,2", "b=5"])) == ["a"]
    assert varied(sets(["a=1", "b=5"])) == ["a", "b"]  # of one set, all
