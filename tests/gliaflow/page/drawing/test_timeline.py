"""Lanes of slots and bars of stages, at the times of the journal."""

from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from gliaflow.core.report import Event
from gliaflow.page.drawing.timeline import MOST_BARS, lanes, round_time, ticks, timeline
from gliaflow.page.markup import plain
from tests.support.runs import EVIL, began, ended, summary, told, whole


def bars(found: Element) -> dict[str, tuple[float, float]]:
    """Where each begins and how wide it is, in percent."""
    return {str(one.get("data-bar")): (_percent(one, "x"), _percent(one, "width")) for one in found.iter("rect")}


def _percent(one: Element, name: str) -> float:
    return float(str(one.get(name)).removesuffix("%"))


def test_bars_begin_and_end_as_the_journal_says(tmp_path: Path) -> None:
    slots, rows = timeline(whole(tmp_path), ["fit@1"])
    expected = {"fit@1": (10.0, 30.0), "fit@2": (10.0, 40.0), plain(EVIL): (52.5, 40.0), "bad": (52.5, 7.5)}
    assert bars(rows) == bars(slots) == expected
    assert ["critical" in str(one.get("class")) for one in rows.iter("rect")] == [True, False, False, False]


def test_a_lane_for_each_slot(tmp_path: Path) -> None:
    run = whole(tmp_path, evil="evil")
    busy = sorted((one for one in run.stages.values() if one.began), key=lambda one: one.began or 0)
    found = {name: [one.address for one in held] for name, held in lanes(run, busy).items()}
    assert found == {"CPU 0": ["fit@1", "evil"], "CPU 1": ["fit@2", "bad"], "GPU 0": ["fit@1"]}
    text = " ".join("".join(one.itertext()) for one in timeline(run, []))
    assert "CPU 0: busy for 7.0 s, 70% of the run" in text


def test_stages_without_slots_share_few_lanes(tmp_path: Path) -> None:
    events: list[Event] = [began("a", 0), began("b", 0), ended("a", 2), ended("b", 3), began("c", 2), ended("c", 4)]
    run = told(tmp_path, [*events, summary(4)], {"a": [], "b": [], "c": []})
    found = lanes(run, list(run.stages.values()))
    assert {name: [one.address for one in held] for name, held in found.items()} == {
        "lane 1": ["a", "c"],
        "lane 2": ["b"],
    }


def test_of_very_many_stages_the_longest_have_rows(tmp_path: Path) -> None:
    names = [f"s{number}" for number in range(MOST_BARS + 20)]
    events: list[Event] = [began(name, 1) for name in names]
    events += [ended(name, 2 + place) for place, name in enumerate(names)]
    run = told(tmp_path, [*events, summary(99)], {name: [] for name in names})
    slots, rows = timeline(run, ["s0"])
    assert set(bars(rows)) == {"s0", *names[21:]}
    assert len(bars(slots)) == len(names)


def test_nothing_ran(tmp_path: Path) -> None:
    assert timeline(told(tmp_path, [], {"a": []}), []) == []


@pytest.mark.parametrize("seconds", [0.004, 0.7, 9, 61, 555, 3600, 50_000, 1e6, 3e7])
def test_a_few_round_times(seconds: float) -> None:
    found = ticks(seconds)
    assert 2 <= len(found) <= 12
    assert found[-1] <= seconds


def test_round_times() -> None:
    texts = [round_time(one) for one in (0, 0.5, 15, 60, 90, 5400, 86400)]
    assert texts == ["0", "0.5 s", "15 s", "1 min", "1.5 min", "1 h 30 min", "24 h"]
