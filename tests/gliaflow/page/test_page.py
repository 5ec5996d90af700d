"""The page as a whole: one file, nothing from a network, every number that of the journal; also in Chromium."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.report import Event, Outcome, Output, Recorded, RunStopped
from gliaflow.errors import UserError
from gliaflow.journal.reader import Tail, seen
from gliaflow.page import page as module
from gliaflow.page.facts import RunFacts
from gliaflow.page.markup import duration, plain, size
from gliaflow.page.page import MOST_BYTES, page, write
from tests.support.browser import Tab, browser
from tests.support.runs import EVIL, PNG, began, cached, ended, summary, told, whole

WIDTHS = (1280, 390)
A4_PX = 688  # between the margins
VOID = {"meta", "br", "img", "link"}


class Found(HTMLParser):
    """The elements of a page, each with its attributes; how deep each stands, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.all: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.all.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def with_attribute(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of elements that have this one."""
        return [attributes for _, attributes in self.all if name in attributes]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunFacts:
    """A run with names that mean harm wherever one can stand."""
    return whole(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def tab() -> Iterator[Tab]:
    """A browser for all of these tests."""
    with browser() as found:
        yield found


def test_what_comes_from_the_user_is_text_and_nothing_else(run: RunFacts) -> None:
    found = Found(page(run))
    assert found.open == []
    names = {tag for tag, _ in found.all}
    assert not names & {"script", "iframe", "object", "embed", "link", "base", "form"}
    for _, attributes in found.all:
        assert not [name for name in attributes if name.startswith("on") or name == "srcdoc"]
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    (policy,) = [one["content"] for one in found.with_attribute("http-equiv")]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "url(" not in page(run)
    assert "@import" not in page(run)


def test_each_link_leads_to_one_place(run: RunFacts) -> None:
    found = Found(page(run))
    places = [one["id"] for one in found.with_attribute("id")]
    assert len(places) == len(set(places))
    assert {f"#{place}" for place in places} >= {one["href"] for one in found.with_attribute("href")}


def test_whoever_cannot_see_it_can_read_it(run: RunFacts) -> None:
    found = Found(page(run))
    assert [attributes["lang"] for tag, attributes in found.all if tag == "html"] == ["en"]
    assert all(attributes.get("alt") for tag, attributes in found.all if tag == "img")
    assert all(attributes.get("scope") in ("row", "col") for tag, attributes in found.all if tag == "th")
    levels = [int(tag[1]) for tag, _ in found.all if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(level <= before + 1 for before, level in pairwise(levels))
    svgs = [place for place, (tag, _) in enumerate(found.all) if tag == "svg"]
    assert svgs
    assert all(found.all[place + 1][0] == "title" for place in svgs)


BYTES = ("peak_bytes", "gpu_bytes", "read_bytes", "written_bytes")
FIGURES = {"seconds": duration, "cpu_seconds": duration, **dict.fromkeys(BYTES, size)}


def test_every_number_of_a_stage_is_that_of_the_journal(tab: Tab, run: RunFacts, tmp_path: Path) -> None:
    """As a browser shows it, beside the lines of the journal, which are read here and not by what made the page."""
    (tmp_path / "run.html").write_text(page(run))
    tab.show((tmp_path / "run.html").as_uri(), 1280)
    script = """Array.from(document.querySelectorAll('[data-stage]')).map(row => [row.dataset.stage,
        row.dataset.outcome, Array.from(row.querySelectorAll('[data-figure]')).map(
            one => [one.dataset.figure, one.value, one.innerText])])"""
    rows = tab.evaluate(script)
    shown = {name: (outcome, {key: rest for key, *rest in figures}) for name, outcome, figures in rows}
    records: list[dict[str, Any]] = [record for record, _ in Tail(run.seen.path).new()]
    last = {str(one["stage"]): one for one in records if one["is"] == "ended"}
    first = {str(one["stage"]): one["when"] for one in reversed(records) if one["is"] == "began"}
    assert shown.keys() == {plain(name) for name in last}
    for name, record in last.items():
        outcome, figures = shown[plain(name)]
        used = record.get("used") or {}
        assert isinstance(used, dict)
        known = {
            "seconds": record["seconds"],
            **{key: value for key, value in used.items() if key in FIGURES and value is not None},
        }
        assert outcome == record["outcome"]
        for key, value in known.items():
            value_there, text = figures.pop(key)
            assert json.loads(value_there) == value
            assert text in (FIGURES[key](value), "") if key == "seconds" else text == FIGURES[key](value)
        assert json.loads(figures.pop("began", ["null"])[0]) == first.get(name)
        assert figures.pop("slots", [""])[0] == ",".join(record.get("slots", []))
        assert figures == {}
    values = tab.evaluate("Array.from(document.querySelectorAll('[data-metric] data')).map(one => one.value)")
    metrics: Any = next(one for one in records if one["is"] == "metrics")["values"]
    expected = json.dumps([one["value"] for one in metrics]).replace(r"\ud800", r"\ufffd")  # which is no letter
    assert [json.loads(one) for one in values] == json.loads(expected)
    begin, end = records[0]["when"], max(one["when"] for one in records)
    assert float(tab.evaluate("document.querySelector('[data-figure=run-seconds]').value")) == end - begin
    assert float(tab.evaluate("document.querySelector('[data-figure=run-began]').value")) == begin


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("dark", [False, True])
def test_in_a_browser_it_fits_and_asks_nobody(tab: Tab, run: RunFacts, tmp_path: Path, width: int, dark: bool) -> None:
    path = tmp_path / "run.html"
    path.write_text(page(run))
    tab.show(path.as_uri(), width, dark=dark)
    tab.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    assert tab.requests == [path.as_uri()]
    assert tab.complaints == []
    assert tab.evaluate("window.harm") is None
    assert tab.evaluate("document.documentElement.scrollWidth") == width
    assert tab.evaluate("Array.from(document.images).every(one => one.complete && one.naturalWidth > 0)")
    outside = """Array.from(document.querySelectorAll('main *')).filter(
        one => one.getBoundingClientRect().right > innerWidth + 1 && !one.closest('.scroll, .wide, pre, svg')
    ).map(one => one.tagName)"""
    assert tab.evaluate(outside) == []


def test_letters_can_be_told_from_their_ground(tab: Tab, run: RunFacts, tmp_path: Path) -> None:
    """By the rule of WCAG: a contrast of 4.5 at least, light and dark."""
    (tmp_path / "run.html").write_text(page(run))
    script = """(() => { const light = text => { const [r, g, b] = text.match(/[0-9.]+/g).slice(0, 3).map(one => {
        const part = one / 255; return part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4 });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b };
      const ground = one => { while (one) { const found = getComputedStyle(one).backgroundColor;
        if (!found.endsWith(', 0)')) return found; one = one.parentElement } return 'rgb(255, 255, 255)' };
      const found = [], names = 'p, th, td, dt, dd, a, summary, h1, h2, code, li';
      for (const one of document.querySelectorAll(names)) {
        if (one.closest('svg') || !one.innerText) continue;
        const [low, high] = [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => a - b);
        if ((high + 0.05) / (low + 0.05) < 4.5) found.push(one.outerHTML.slice(0, 90)) }
      return found })()"""
    for dark in (False, True):
        tab.show((tmp_path / "run.html").as_uri(), 1280, dark=dark)
        assert tab.evaluate(script) == []


def test_on_paper(tab: Tab, run: RunFacts, tmp_path: Path) -> None:
    (tmp_path / "run.html").write_text(page(run))
    tab.show((tmp_path / "run.html").as_uri(), 1280)
    tab.printed(tmp_path / "run.pdf")
    data = (tmp_path / "run.pdf").read_bytes()
    assert data.startswith(b"%PDF")
    assert 2 <= len(re.findall(rb"/Type\s*/Page\b", data)) <= 12
    tab.call("Emulation.setEmulatedMedia", media="print")
    tab.evaluate(f"document.body.style.width = '{A4_PX}px'")
    cut = f"""Array.from(document.querySelectorAll('main table, main figure, main pre, .graph')).filter(
        one => one.getBoundingClientRect().right > {A4_PX} + document.body.getBoundingClientRect().left + 1).length"""
    assert tab.evaluate(cut) == 0
    tab.call("Emulation.setEmulatedMedia", media="")


@pytest.mark.parametrize(
    ("events", "state", "words"),
    [
        ([summary(2)], "completed", []),
        ([ended("a", 1, Outcome.FAILED, why="it broke"), summary(2, "a")], "failed", ["What went wrong", "it broke"]),
        ([RunStopped("ended by SIGTERM", cancelled=True)], "cancelled", ["ended by SIGTERM", "Somebody ended"]),
        ([began("a", 1)], "crashed", ["was killed", "cut off", "The run ended before this stage did."]),
    ],
)
def test_runs_that_ended_in_any_way(tmp_path: Path, events: list[Event], state: str, words: list[str]) -> None:
    text = page(told(tmp_path, events, {"a": []}))
    assert f'data-state="{state}"' in text
    assert [one for one in words if one not in text] == []


def test_a_run_that_goes_on(tmp_path: Path) -> None:
    run = told(tmp_path, [began("a", 1)], {"a": []})
    run.seen.lives = True
    text = page(run)
    assert "This run goes on." in text
    assert "took so far" in text
    assert "What went wrong" not in text


def test_three_thousand_stages(tmp_path: Path) -> None:
    """Of a size that a browser opens, and made within seconds."""
    names = [f"stage-{kind}@{number}" for kind in range(30) for number in range(100)]
    events: list[Event] = []
    for place, name in enumerate(names):
        record = Recorded({f"in/{place}.txt": "1" * 32}, {"seed": place}, [Output(f"out/{place}.txt", "2" * 32)])
        events += [began(name, place), ended(name, place + 1, slots=["cpu-0"], recorded=record)]
    reads = {name: [names[place - 100]] if place >= 100 else [] for place, name in enumerate(names)}
    text = page(told(tmp_path, [*events, summary(3000)], reads))
    assert len(text.encode()) < MOST_BYTES
    found = Found(text)
    assert len(found.with_attribute("data-box")) == 30
    assert len(found.with_attribute("data-stage")) == 600
    assert "2400 of 3000 stages are not in this table" in text


def test_pictures_keep_within_the_size_of_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = PNG + bytes(60_000)
    outputs = [Output(f"{n}.png", cached(tmp_path / "cache", large + bytes([n])), "plot") for n in range(5)]
    events = [ended("a", 1, recorded=Recorded(outputs=outputs)), summary(2)]
    run = told(tmp_path, events, {"a": []}, cache=str(tmp_path / "cache"))
    monkeypatch.setattr(module, "MOST_BYTES", 230_000)
    text = page(run)
    assert len(text.encode()) < 250_000
    assert 1 <= text.count("data:image/png") < 5
    assert "have no room on this page" in text


def test_the_file_is_written_whole_or_not_at_all(
    run: RunFacts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run.html"
    assert write(run.seen.path, out).name == run.name
    before = out.read_text()
    assert before.startswith("<!DOCTYPE html>\n<html")
    assert plain(EVIL)[:8] not in before.split("</style>")[0].split("<title>")[0]

    def broken(_: RunFacts) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(module, "page", broken)
    with pytest.raises(RuntimeError):
        write(run.seen.path, out)
    assert out.read_text() == before
    assert [one.name for one in tmp_path.iterdir()] == ["run.html"]


def test_where_no_page_can_be_written(run: RunFacts, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder: name a file in it, such as .*/run\.html$"):
        write(run.seen.path, tmp_path)
    with pytest.raises(UserError, match=r"there is no folder .*/gone; make it first$"):
        write(run.seen.path, tmp_path / "gone/run.html")


def test_a_page_does_not_change_with_the_workspace(run: RunFacts) -> None:
    assert seen(run.seen.path).state == "failed"
    assert page(run) == page(run)
