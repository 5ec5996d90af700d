"""Where stages stand: behind what they read, apart from each other, in one box for each group."""

import random
import time
from itertools import pairwise

import pytest

from gliaflow.page.drawing.layout import apart, grouped, layout, reduced


def test_each_stands_behind_what_it_reads() -> None:
    found = layout({"a": [], "b": ["a"], "c": ["a", "b"], "d": []})
    assert found.column == {"a": 0, "b": 1, "c": 2, "d": 0}
    assert found.ends == [("a", "b"), ("b", "c")]
    assert found.row["a"] == found.row["b"] == found.row["c"]


def test_lines_that_follow_from_others_are_left_out() -> None:
    assert reduced({"a": [], "b": ["a"], "c": ["b", "a", "gone"], "d": ["c", "a"]}) == {
        "a": [], "b": ["a"], "c": ["b"], "d": ["c"]
    }  # fmt: skip


def test_a_long_line_bends_around_what_is_between() -> None:
    found = layout({"a": [], "b": ["a"], "c": ["b"], "x": [], "d": ["c", "x"]})
    long = found.lines[found.ends.index(("x", "d"))]
    assert [column for column, _ in long] == [0, 1, 2, 3]
    assert abs(long[1][1] - found.row["b"]) >= 1
    assert abs(long[2][1] - found.row["c"]) >= 1


def test_lines_do_not_cross_where_they_need_not() -> None:
    found = layout({"a": [], "b": [], "c": [], "x": ["c"], "y": ["a"], "z": ["b"]})
    assert sorted("abc", key=found.row.__getitem__) == [
        {"x": "c", "y": "a", "z": "b"}[one] for one in sorted("xyz", key=found.row.__getitem__)
    ]


@pytest.mark.parametrize(
    ("wanted", "places"),
    [([], []), ([3.0], [3.0]), ([0.0, 0.0], [-0.5, 0.5]), ([5.0, 0.0, 9.0], [2.0, 3.0, 9.0]), ([0.0, 4.0], [0.0, 4.0])],
)
def test_places_apart(wanted: list[float], places: list[float]) -> None:
    assert apart(wanted) == places


def test_random_graphs_have_no_two_boxes_in_one_place_and_take_no_time() -> None:
    drawn, began = random.Random(1), time.monotonic()
    for _ in range(30):
        nodes = [str(number) for number in range(60)]
        graph = {one: drawn.sample(nodes[:place], min(place, drawn.randrange(4))) for place, one in enumerate(nodes)}
        found = layout(graph)
        for column in set(found.column.values()):
            rows = sorted(found.row[one] for one, place in found.column.items() if place == column)
            assert all(low + 1 <= high + 1e-9 for low, high in pairwise(rows))
        assert all(found.column[one] < found.column[node] for node, reads in graph.items() for one in reads)
        assert min(found.row.values()) >= 0
    assert time.monotonic() - began < 60


def test_groups_of_a_matrix() -> None:
    graph = {"a": [], "b@1": ["a"], "b@2": ["b@1"], "c@1": ["b@1"], "c@2": ["b@2"], "b@3": ["c@1"]}
    reads, members = grouped(graph)
    assert reads == {"a": [], "b": ["a"], "c": ["b"]}  # c → b would be a circle
    assert members["b"] == ["b@1", "b@2", "b@3"]
