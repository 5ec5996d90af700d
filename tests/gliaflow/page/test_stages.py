"""The table of stages, the failures, the critical path in words, and what is known of each stage."""

import json
from pathlib import Path
from xml.etree.ElementTree import Element

import pytest

from gliaflow.core.report import Event, Line, Outcome
from gliaflow.page import stages
from gliaflow.page.critical import critical_path
from gliaflow.page.markup import plain
from tests.support.runs import EVIL, began, ended, summary, told, whole


def text(*found: Element) -> str:
    return " ".join(" ".join(one.itertext()) for one in found)


def test_a_row_for_each_stage_with_the_numbers_of_the_journal(tmp_path: Path) -> None:
    run = whole(tmp_path, evil="evil")
    found = stages.table(run, ["fit@1"], stages.anchors(run))
    rows = {one.get("data-stage"): one for one in found[0].iter("tr") if one.get("data-stage")}
    assert list(rows) == list(run.stages)
    figures = {one.get("data-figure"): one for one in rows["fit@1"].iter("data")}
    assert {name: json.loads(str(one.get("value"))) for name, one in figures.items() if name != "slots"} == {
        "began": run.stages["fit@1"].began, "seconds": 3.5, "cpu_seconds": 1.75, "peak_bytes": 3 << 20,
        "read_bytes": 1024, "written_bytes": 0,
    }  # fmt: skip
    assert figures["seconds"].text == "3.5 s"
    assert figures["slots"].text == "CPU 0, GPU 0"
    assert "● yes" in text(rows["fit@1"])
    titles = [one.text for one in found[0].iter("th") if one.get("scope") == "col"]
    assert titles == [
        "stage", "outcome", "why", "began after", "took", "critical", "slots", "CPU time", "memory", "read",
        "written"
    ]  # fmt: skip


def test_columns_that_no_stage_has_are_left_out(tmp_path: Path) -> None:
    run = told(tmp_path, [ended("a", 1, Outcome.UNCHANGED, why="")], {"a": []})
    titles = [one.text for one in stages.table(run, [], stages.anchors(run))[0].iter("th") if one.get("scope") == "col"]
    assert titles == ["stage", "outcome", "took"]


def test_of_very_many_stages_the_longest_and_the_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "MOST_ROWS", 2)
    events: list[Event] = [began("a", 0), ended("a", 5), began("b", 0), ended("b", 1)]
    events += [ended("c", 1, Outcome.FAILED, 0.1), summary(5, "c")]
    run = told(tmp_path, events, {"a": [], "b": [], "c": []})
    shown, note = stages.table(run, [], stages.anchors(run))
    assert [one.get("data-stage") for one in shown.iter("tr") if one.get("data-stage")] == ["a", "c"]
    assert text(note) == "1 of 3 stages are not in this table, which has those that took longest: 1 ran."


def test_failures_have_their_error_and_last_lines(tmp_path: Path) -> None:
    found = stages.failures(whole(tmp_path, evil="it broke"))
    assert [one.get("data-failure") for one in found] == ["bad"]
    assert text(found[0]) == "✗ bad failed it broke It printed nothing."


def test_a_stage_that_was_cut_off_is_among_them(tmp_path: Path) -> None:
    run = told(tmp_path, [began("a", 1), Line("a", EVIL), Line("a", "end")], {"a": []})
    (one,) = stages.failures(run)
    assert "✂ a cut off" in text(one)
    assert "The last of what it printed, 2 lines:" in text(one)


def test_the_critical_path_in_words(tmp_path: Path) -> None:
    run = whole(tmp_path, evil="evil")
    steps = critical_path(run)
    words, shown = stages.path_of(run, steps, stages.anchors(run))
    assert [one.get("data-step") for one in shown.iter("tr") if one.get("data-step")] == ["fit@2", "evil"]
    assert text(words).startswith(
        "The critical path is what made the run as long as it was: 2 stages, one after another."
    )
    assert "Its stages took 8.0 s, 80% of the run, and waited 1.2 s." in text(words)
    assert "once 'fit@2' had made what it reads" in text(shown)
    assert stages.path_of(run, [], {}) == []


def test_what_is_known_of_each(tmp_path: Path) -> None:
    run = whole(tmp_path)
    places = stages.anchors(run)
    found = {one.get("data-about"): one for one in stages.each(run, places)}
    assert list(found) == [plain(name) for name in run.stages]
    shown = text(found["fit@1"])
    for part in (
        "seed.txt",
        "1" * 32,
        "rate",
        "0.1",
        '{"a": [1, 2]}',
        "loss.tsv",
        "30 B",
        "2 files",
        "printed 1 line",
        "1 CPU.",
    ):
        assert part in shown
    assert "Tried again, since it failed" in text(found["fit@2"])
    assert [one.get("id") for one in found.values()] == list(places.values())


def test_what_has_no_room_is_left_out_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "MOST_BYTES", 600)
    run = whole(tmp_path, evil="evil")
    found = stages.each(run, stages.anchors(run))
    assert text(found[0]) == "old: left out, since this page would be too large"
    assert "bad" in text(found[list(run.stages).index("bad")])
    assert found[list(run.stages).index("bad")].tag == "details"
