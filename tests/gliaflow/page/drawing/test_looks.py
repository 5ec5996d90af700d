"""Every outcome has a sign and a word of its own."""

from pathlib import Path

from gliaflow.core.report import Outcome
from gliaflow.page.drawing.looks import CUT_OFF, LOOKS, RUNNING, WAITING, WORST, counts, look
from tests.support.runs import began, told, whole


def test_each_outcome_is_told_without_colours() -> None:
    assert LOOKS.keys() == Outcome.__members__.keys()
    every = [*LOOKS.values(), RUNNING, CUT_OFF, WAITING]
    assert len({one.sign for one in every}) == len({one.word for one in every}) == len(every)
    assert {one.sign for one in every} == set(WORST)
    assert all(LOOKS[one.name].word == one.value for one in Outcome)


def test_how_many_came_to_what(tmp_path: Path) -> None:
    run = whole(tmp_path)
    assert counts(run, list(run.stages.values())) == "1 failed, 1 skipped, 3 ran, 1 unchanged"


def test_a_stage_without_an_end(tmp_path: Path) -> None:
    run = told(tmp_path, [began("a", 1)], {"a": [], "b": ["a"]})
    assert [look(run, one) for one in run.stages.values()] == [CUT_OFF, WAITING]
    run.seen.lives = True
    assert look(run, run.stages["a"]) == RUNNING
    run.stages["a"].outcome = "SOMETHING"
    assert look(run, run.stages["a"]).word == "something"
