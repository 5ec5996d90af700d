"""Names and metrics of two versions, compared by hand."""

from gliaflow.versioning.compared import Compared, by_name, compare_metrics, metric_lines

NAN = float("nan")
OLD = {"a.json": {"dice": {"mean": 0.9, "of": "last"}, "n": 3, "p": [NAN], "old": 1, "ok": True}, "b.json": 0.5}
NEW = {"a.json": {"dice": {"mean": 0.91235, "of": "best"}, "n": 3, "p": [NAN], "ok": False}, "c.json": {"x": "y" * 40}}


def test_names() -> None:
    assert Compared.of(["b", "a", "d"], ["c", "a", "d"], lambda name: name == "d") == Compared(["c"], ["b"], ["a"], 1)
    assert str(Compared(["c"], [], ["a"], 1200)) == "1 added, 0 removed, 1 changed, 1,200 the same"


def test_names_that_are_not_the_same() -> None:
    found = Compared(["c"], [], ["a"], 2)
    assert list(found.names()) == [("added", ["c"]), ("changed", ["a"])]
    assert found.differing() == {"a", "c"}
    assert Compared[str]([], [], [], 2).differing() == set()


def test_metrics_are_known_by_file_and_dotted_name() -> None:
    assert by_name({"m.json": {"a": {"b": 1}}, "n.json": 2}) == {("m.json", "a.b"): 1, ("n.json", ""): 2}
    assert compare_metrics(by_name(OLD), by_name(NEW)) == Compared(
        added=[("c.json", "x")],
        removed=[("a.json", "old"), ("b.json", "")],
        changed=[("a.json", "dice.mean"), ("a.json", "dice.of"), ("a.json", "ok")],
        same=2,  # NaN equals itself
    )


def test_metrics_as_a_table() -> None:
    old, new = by_name(OLD), by_name(NEW)
    assert list(metric_lines(old, new, [("a.json", "n"), *compare_metrics(old, new).differing()], ("v1", "v2"))) == [
        f"                 v1  {'v2':>32}  change",
        "  a.json",
        f"    dice.mean   0.9  {'0.91235':>32}  +0.01235",
        f"    dice.of    last  {'best':>32}  changed",
        f"    n             3  {'3':>32}",
        f"    ok         True  {'False':>32}  changed",
        f"    old           1  {'–':>32}  removed",
        "  b.json",
        f"                0.5  {'–':>32}  removed",
        "  c.json",
        f"    x             –  {'y' * 31}…  added",
    ]
    assert list(metric_lines(old, new, [], ("v1", "v2"))) == []
