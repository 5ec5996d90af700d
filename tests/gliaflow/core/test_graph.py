"""Who waits for whom, in a graph drawn by hand."""

import pytest

from gliaflow.core.graph import Graph, Stage

DIAMOND = Graph(
    (
        Stage("top"),
        Stage("left", ("top",)),
        Stage("alone"),
        Stage("right", ("top",)),
        Stage("bottom", ("left", "right")),
        Stage("last", ("bottom", "alone")),
    )
)


@pytest.mark.parametrize(
    ("stages", "chain"),
    [
        ((), True),
        ((Stage("a"),), True),
        ((Stage("a"), Stage("b", ("a",)), Stage("c", ("a", "b"))), True),
        ((Stage("a"), Stage("b")), False),
        ((Stage("a"), Stage("b", ("a",)), Stage("c", ("a",))), False),
        (DIAMOND.stages, False),
    ],
)
def test_a_chain_has_no_two_stages_side_by_side(stages: tuple[Stage, ...], chain: bool) -> None:
    assert Graph(stages).is_chain == chain


def test_downstreams_read_an_output_themselves() -> None:
    assert DIAMOND.downstreams == {
        "top": ["left", "right"],
        "left": ["bottom"],
        "alone": ["last"],
        "right": ["bottom"],
        "bottom": ["last"],
        "last": [],
    }


@pytest.mark.parametrize(
    ("address", "waiting"),
    [
        ("top", ["left", "right", "bottom", "last"]),
        ("left", ["bottom", "last"]),
        ("alone", ["last"]),
        ("bottom", ["last"]),
        ("last", []),
    ],
)
def test_dependents_are_all_that_waits_each_once_and_in_order(address: str, waiting: list[str]) -> None:
    assert DIAMOND.dependents(address) == waiting


def test_in_order_is_the_order_of_the_plan() -> None:
    assert DIAMOND.in_order({"last", "bottom", "alone", "top"}) == ["top", "alone", "bottom", "last"]
    assert DIAMOND.in_order(()) == []


def test_a_stage_and_its_place_are_found_by_address() -> None:
    assert DIAMOND.by_address["right"] == Stage("right", ("top",))
    assert [DIAMOND.place[address] for address in ("top", "alone", "last")] == [0, 2, 5]
