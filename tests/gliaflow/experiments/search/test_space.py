"""What a space file may say, and parameters by dotted names."""

from pathlib import Path

import pytest

from gliaflow.errors import BadInput
from gliaflow.experiments.search.space import Choices, Range, changed, current, holds, lookup, read


def space(tmp_path: Path, text: str) -> list[Range | Choices]:
    (tmp_path / "space.yaml").write_text(text)
    return read(tmp_path / "space.yaml")


def test_what_it_may_say(tmp_path: Path) -> None:
    text = """
        train.lr: {low: 1e-4, high: 1e-1, log: true}
        train.width: {low: 16, high: 64, step: 16}
        train.part: {low: 0, high: 1, step: 0.25}
        train.name: [adam, sgd]
        train.size: {choices: [1, 2.5, null, true]}
    """
    lr, width, part, name, size = space(tmp_path, text)
    assert lr == Range("train.lr", 1e-4, 1e-1, True)
    assert width == Range("train.width", 16, 64, step=16)
    assert name == Choices("train.name", ("adam", "sgd"))
    assert size == Choices("train.size", (1, 2.5, None, True))
    assert [one.whole for one in (lr, width, part) if isinstance(one, Range)] == [False, True, False]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no mapping from parameters to ranges"),
        ("[a]", "no mapping"),
        ("a: {low", "space.yaml: "),
        ("a: 1", "a: write {low: …, high: …}"),
        ("a: {low: 1, high: 2, lag: true}", "a: write"),
        ("a: {low: 2, high: 1}", "low is less than high"),
        ("a: {low: 0, high: .inf}", "low and high are numbers"),
        ("a: {low: 1}", "low and high are numbers"),
        ("a: {low: x, high: 1}", "low and high are numbers"),
        ("a: {low: false, high: true}", "low and high are numbers"),
        ("a: {low: 0, high: 1, log: true}", "needs a low above 0"),
        ("a: {low: 0, high: 1, log: 3}", "log is true or false"),
        ("a: {low: 1, high: 2, step: 0}", "step is a number above 0"),
        ("a: {low: 1, high: 2, step: 1, log: true}", "does not go with log"),
        ("a: []", "choices is a list"),
        ("a: [1, 1]", "different plain values"),
        ("a: [[1]]", "different plain values"),
        ("a: {choices: [1], low: 0}", "stands alone"),
    ],
)
def test_what_it_may_not_say(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        space(tmp_path, text)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="No such file"):
        read(tmp_path / "space.yaml")


def test_parameters_are_changed_in_a_copy() -> None:
    document = {"a": {"b": {"c": 1, "d": 2}}, "e": 3}
    assert changed(document, {"a.b.c": 5, "e": None}) == {"a": {"b": {"c": 5, "d": 2}}, "e": None}
    assert document == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}
    for name in ("a.x", "x", "a.b.c.d", "e.f"):
        with pytest.raises(BadInput, match=f"there is no parameter '{name}'"):
            changed(document, {name: 1})


def test_current_values() -> None:
    document = {"a": {"b": 0.5}, "c": "x"}
    assert current(document, [Range("a.b", 0.1, 1.0), Choices("c", ("x",))]) == {"a.b": 0.5, "c": "x"}
    with pytest.raises(BadInput, match=r"there is no parameter 'a\.z'"):
        current(document, [Range("a.z", 0, 1)])


def test_a_parameter_in_a_list_is_named_by_its_place() -> None:
    document = {"a": [{"b": 5}, {"b": 6}], "c": {1: "x"}}
    assert (lookup(document, "a.1.b"), lookup(document, "c.1")) == (6, "x")
    for name in ("a.2.b", "a.b", "a.1.b.0", "c.x"):
        with pytest.raises(BadInput, match=f"there is no parameter '{name}'"):
            lookup(document, name)


@pytest.mark.parametrize(
    ("one", "value", "expected"),
    [
        (Range("a", 0.0, 1.0), 1.0, True),
        (Range("a", 0.0, 1.0), 1.1, False),
        (Range("a", 0.0, 1.0), "x", False),
        (Range("a", 0.0, 1.0), True, False),
        (Range("a", 0, 8, step=4), 4, True),
        (Range("a", 0, 8, step=4), 3, False),
        (Range("a", 0, 8), 4.0, False),
        (Range("a", 0.0, 1.0, step=0.1), 0.3, True),
        (Choices("a", (1, "x")), "x", True),
        (Choices("a", (1, "x")), 1.0, False),
        (Choices("a", (1,)), True, False),
    ],
)
def test_whether_a_value_lies_in_it(one: Range | Choices, value: float | str, expected: bool) -> None:
    assert holds(one, value) is expected
