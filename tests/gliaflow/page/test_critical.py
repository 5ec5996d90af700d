"""The stages that made a run as long as it was."""

from pathlib import Path

from gliaflow.core.report import Event, Outcome
from gliaflow.page.critical import critical_path, share
from tests.support.runs import began, ended, summary, told


def test_back_through_what_is_read_and_through_slots(tmp_path: Path) -> None:
    events: list[Event] = [
        ended("data", 0.1, Outcome.UNCHANGED, 0.1),
        *[began("long", 0.5), began("short", 0.5)],
        *[ended("short", 2.0, slots=["cpu-1"]), ended("long", 6.0, slots=["cpu-0"])],
        *[began("next", 6.5), ended("next", 8.5, slots=["cpu-0"])],  # reads `short`, and waited for the slot of `long`
        *[began("end", 8.5), ended("end", 9.5, slots=["cpu-1"])],
        summary(10),
    ]
    run = told(tmp_path, events, {"data": [], "long": [], "short": ["data"], "next": ["short"], "end": ["next"]})
    steps = critical_path(run)
    assert [(one.stage.address, one.link) for one in steps] == [("long", ""), ("next", "slot"), ("end", "reads")]
    assert [(one.seconds, one.waited) for one in steps] == [(5.5, 0.5), (2.0, 0.5), (1.0, 0.0)]
    assert share(run, steps) == 0.85


def test_it_goes_on_behind_a_stage_that_was_not_changed(tmp_path: Path) -> None:
    events: list[Event] = [began("a", 0), ended("a", 4), ended("b", 4.1, Outcome.UNCHANGED, 0.1)]
    events += [began("c", 4.2), ended("c", 5), summary(5)]
    run = told(tmp_path, events, {"a": [], "b": ["a"], "c": ["b"]})
    assert [one.stage.address for one in critical_path(run)] == ["a", "c"]


def test_a_stage_that_still_ran_ends_it(tmp_path: Path) -> None:
    events: list[Event] = [began("a", 0), ended("a", 4), began("b", 4.25), began("c", 4.25), ended("c", 9)]
    run = told(tmp_path, events, {"a": [], "b": ["a"], "c": []})
    assert critical_path(run)[-1].seconds == 4.75


def test_nothing_ran(tmp_path: Path) -> None:
    run = told(tmp_path, [ended("a", 1, Outcome.UNCHANGED), ended("b", 1, Outcome.SKIPPED)], {"a": [], "b": ["a"]})
    assert critical_path(run) == []
    assert share(run, []) == 0.0


def test_two_stages_of_no_time_in_one_slot_are_no_circle(tmp_path: Path) -> None:
    events: list[Event] = [began("a", 1), ended("a", 1, slots=["cpu-0"]), began("b", 1), ended("b", 1, slots=["cpu-0"])]
    run = told(tmp_path, [*events, summary(1)], {"a": [], "b": []})
    assert len(critical_path(run)) == 2
