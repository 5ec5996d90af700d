"""What has come since stands in DVC's order, and all else where it was."""

import random
from collections.abc import Sequence

import pytest

from gliaflow.lockfiles.order import Order

PLACES = {name: place for place, name in enumerate("abcdef")}


def opened(names: str, old: str = "") -> Order[str]:
    order = Order(PLACES, set(old))
    order.read(names)
    return order


@pytest.mark.parametrize(
    ("names", "old", "new", "expected"),
    [
        ("", "", "cab", "abc"),
        ("x", "x", "ba", "xab"),
        ("xd", "xd", "ea", "xdae"),  # an old one keeps its place
        ("adf", "adf", "c", "adfc"),
        ("xcy", "xy", "bd", "xbcyd"),  # before the first later one, else behind all
        ("c", "", "z", "cz"),  # which no stage has
        ("", "d", "fd", "df"),  # an old one that somebody took out
        ("", "d", "dca", "dac"),
    ],
)
def test_a_name_comes_before_the_first_later_one_that_has_come_since(
    names: str, old: str, new: str, expected: str
) -> None:
    order = opened(names, old)
    for name in new:
        assert name not in order
        at = order.insert(name)
        assert order.names[at] == name
        assert name in order
    assert "".join(order.names) == expected


@pytest.mark.parametrize(
    ("names", "old", "expected", "sources"),
    [
        ("", "", "", []),
        ("ba", "", "ab", [1, 0]),
        ("xba", "x", "xab", [0, 2, 1]),
        ("cxbya", "", "axbyc", [4, 1, 2, 3, 0]),  # in the places that they have together
        ("cba", "b", "abc", [2, 1, 0]),
        ("zab", "", "zab", [0, 1, 2]),
    ],
)
def test_what_others_appended_is_arranged(names: str, old: str, expected: str, sources: Sequence[int]) -> None:
    order = opened(names, old)
    assert order.arrange() == sources
    assert "".join(order.names) == expected
    assert order.since() == [name for name in PLACES if name in names and name not in old]


def test_what_has_the_same_place_stays_in_the_order_in_which_it_came() -> None:
    order = Order({"b": 1, "a": 1, "c": 0}, set())
    for name in "bac":
        order.insert(name)
    assert order.names == ["c", "b", "a"]
    order.read("abc")
    order.arrange()
    assert order.names == ["c", "a", "b"]


def test_one_that_is_taken_out_comes_back_to_its_place() -> None:
    order = opened("xace", "x")
    assert order.remove("c") == 2
    assert "c" not in order
    assert order.since() == ["a", "e"]
    assert order.insert("b") == 2
    assert order.insert("c") == 3
    assert order.names == [*"xabce"]


def test_in_whatever_order_they_come() -> None:
    for seed in range(100):
        draw = random.Random(seed)
        old = draw.sample([*PLACES, *"xyz"], draw.randint(0, 4))
        order = opened("".join(old), "".join(old))
        for name in draw.sample("abcdef", 6):
            if name not in order:
                order.insert(name)
        assert order.names == [*old, *(name for name in PLACES if name not in old)]
