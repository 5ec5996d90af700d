"""Halving by hand, goals, and what a search tells of its individuals."""

import math

import pytest

from gliaflow.errors import BadInput
from gliaflow.experiments.results import Fate
from gliaflow.experiments.search.generations import Goal, Halving, SearchReport, shown
from gliaflow.experiments.search.individuals import Individual
from tests.gliaflow.experiments.search.searched import search, searched
from tests.support.repos import Project


def test_ranks() -> None:
    assert [Goal("a").rank(score) for score in (2.0, 1.0, None)] == [-2.0, -1.0, math.inf]
    assert [Goal("a", minimize=True).rank(score) for score in (2.0, 1.0, None)] == [2.0, 1.0, math.inf]


@pytest.mark.parametrize(
    ("halving", "said"),
    [
        (Halving((3, 1)), "--rung 3 --rung 1: rungs are epochs, each more than the last"),
        (Halving((0,)), "--rung 0"),
        (Halving((1, 1)), "--rung 1 --rung 1"),
        (Halving((1,), 1.0), "--kept is 1.0"),
    ],
)
def test_rungs_that_make_no_sense(halving: Halving, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        halving.check()


def test_the_best_and_what_is_shown() -> None:
    good, bad = (
        Individual(0, key, {"a": 0.123456, "b": "x"}, score, 3, 1.0) for key, score in (("1", 0.5), ("2", 0.7))
    )
    lost = Individual(1, "3", {"a": 1.0, "b": "y"}, None, 0, 0.5, "the loss is nan")
    found = SearchReport((bad, good, lost, good), Goal("loss", minimize=True), 3, 6, (), 0)
    assert found.best == good
    assert SearchReport((lost,), Goal("loss"), 1, 0, (), 0).best is None
    shown_ones = found.experiments()
    assert [one.name for one in shown_ones] == ["g0-2", "g0-1", "g1-3"]
    assert (shown_ones[0].params, shown_ones[0].metrics) == (
        {"a": "0.1235", "b": "x"},
        {"": {"loss": 0.7, "epochs": 3}},
    )
    assert (shown_ones[2].fate, shown_ones[2].error) == (Fate.FAILED, "the loss is nan")
    assert found.plain()["best"]["score"] == 0.5


def test_values_as_a_person_reads_them() -> None:
    assert [shown(value) for value in (0.000123456, 7, "adam", None, True)] == [
        "0.0001235",
        "7",
        "adam",
        "None",
        "True",
    ]


def test_a_third_goes_on_from_each_rung(project: Project) -> None:
    told = search(searched(project), "--rung", "1", "--rung", "2", population=9, generations=1)
    epochs = sorted(one["epochs"] for one in told["individuals"])
    assert epochs == [1] * 6 + [2] * 2 + [4]
    assert told["epochs"] == 6 + 4 + 4
    best = min(told["individuals"], key=lambda one: one["score"] - 1 / one["epochs"])
    assert best["epochs"] == 4


def test_individuals_without_a_number_are_the_worst(project: Project) -> None:
    searched(project)
    project.write({"space.yaml": "train.n: [13, 7, 9]\n"})
    told = search(project, "--rung", "1", population=6, generations=2)
    scores = {one["values"]["train.n"]: one["score"] for one in told["individuals"]}
    assert scores[13] is None
    assert told["best"]["values"] == {"train.n": 7}
