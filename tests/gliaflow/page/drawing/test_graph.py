"""The graph with its outcomes, one by one or in groups."""

from pathlib import Path
from xml.etree.ElementTree import Element

from gliaflow.page.drawing import graph as drawn
from gliaflow.page.drawing.graph import graph
from gliaflow.page.facts import RunFacts
from gliaflow.page.markup import plain
from gliaflow.page.stages import anchors
from tests.support.runs import EVIL, began, ended, told, whole


def boxes(found: Element | None) -> dict[str, Element]:
    assert found is not None
    return {str(one.get("data-box")): one for one in found.iter("g")}


def many(tmp_path: Path, number: int, kinds: int) -> RunFacts:
    names = [f"k{place % kinds}@{place}" for place in range(number)]
    reads = {name: names[:1] if place else [] for place, name in enumerate(names)}
    return told(tmp_path, [began(names[0], 1), ended(names[0], 2)], reads)


def test_a_box_for_each_stage_and_a_line_for_what_is_read(tmp_path: Path) -> None:
    run = whole(tmp_path)
    found = graph(run, ["fit@2", EVIL], anchors(run))
    shown = boxes(found)
    assert list(shown) == [plain(name) for name in run.stages]
    assert "failed" in str(shown["bad"].get("class"))
    assert "critical" in str(shown["fit@2"].get("class"))
    assert "critical" not in str(shown["fit@1"].get("class"))
    assert "✗" in "".join(shown["bad"].itertext())
    assert found is not None
    lines = list(found.iter("path"))
    assert len(lines) == 6
    assert sum("critical" in str(one.get("class")) for one in lines) == 1
    assert [one.get("href") for one in found.iter("a")] == [f"#{place}" for place in anchors(run).values()]


def test_many_stages_are_drawn_as_groups(tmp_path: Path) -> None:
    run = many(tmp_path, drawn.MOST_STAGES + 5, 5)
    shown = boxes(graph(run, ["k0@0"], {}))
    assert list(shown) == ["k0", "k1", "k2", "k3", "k4"]
    assert "k0 × 13" in "".join(shown["k0"].itertext())
    assert "12 not begun, 1 ran" in "".join(shown["k0"].itertext())


def test_too_many_groups_are_not_drawn(tmp_path: Path) -> None:
    assert graph(many(tmp_path, drawn.MOST_BOXES + 1, drawn.MOST_BOXES + 1), [], {}) is None
