"""The graph of a run with the outcomes of its stages."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from xml.etree.ElementTree import Element

from gliaflow.page.drawing.layout import grouped, layout
from gliaflow.page.drawing.looks import WORST, counts, look
from gliaflow.page.facts import RunFacts
from gliaflow.page.markup import shortened, tag

MOST_STAGES = 60  # that are drawn one by one; beyond, those of one `matrix` or `foreach` are one box
MOST_BOXES = 120  # beyond, no graph is drawn
LETTERS = 34  # of a name
LETTER_PX, ROW_PX, BOX_PX, GAP_PX, PAD_PX = 7.3, 40, 28, 44, 4


def graph(run: RunFacts, critical: Sequence[str], links: Mapping[str, str]) -> Element | None:
    """The graph with outcomes; `links` has the address of what tells more of a stage. None if it is too large."""
    reads: Mapping[str, Sequence[str]] = {name: one.upstreams for name, one in run.stages.items()}
    members: Mapping[str, Sequence[str]] = {name: [name] for name in reads}
    if len(reads) > MOST_STAGES:
        reads, members = grouped(reads)
    if len(reads) > MOST_BOXES or not reads:
        return None
    return _graph(run, reads, members, critical, links)


def _graph(
    run: RunFacts,
    reads: Mapping[str, Sequence[str]],
    members: Mapping[str, Sequence[str]],
    critical: Sequence[str],
    links: Mapping[str, str],
) -> Element:
    found = layout(reads)
    texts = {name: _text(name, members[name]) for name in reads}
    wide: defaultdict[int, float] = defaultdict(float)
    for name, column in found.column.items():
        wide[column] = max(wide[column], len(texts[name]) * LETTER_PX + 34)
    starts = {column: PAD_PX + sum(wide[one] + GAP_PX for one in range(column)) for column in sorted(wide)}
    width = max(starts[column] + wide[column] for column in wide) + PAD_PX
    height = (max(found.row.values()) + 1) * ROW_PX + PAD_PX
    height = max(height, *((row + 1) * ROW_PX + PAD_PX for line in found.lines for _, row in line), 0.0)
    box = {one: name for name, some in members.items() for one in some}
    path = [box[one] for one in critical]
    hot, steps = set(path), set(pairwise(path))
    lines = [
        tag("path", d=_curve(line, starts, wide), class_="line critical" if ends in steps else "line")
        for line, ends in zip(found.lines, found.ends, strict=True)
    ]
    boxes = [
        _box(run, name, texts[name], members[name], name in hot, starts[column], found.row[name], wide[column], links)
        for name, column in found.column.items()
    ]
    view = f"0 0 {width:.0f} {height:.0f}"
    about = f"Graph of {len(run.stages)} stages: {counts(run, list(run.stages.values()))}"
    style = f"min-width:{width * 0.8:.0f}px;max-width:{width:.0f}px"
    return tag("svg", tag("title", about), lines, boxes, viewBox=view, class_="graph", style=style, role="group")


def _text(name: str, members: Sequence[str]) -> str:
    more = f" × {len(members)}" if len(members) > 1 else ""
    return shortened(name, LETTERS - len(more)) + more


def _curve(line: Sequence[tuple[int, float]], starts: Mapping[int, float], wide: Mapping[int, float]) -> str:
    """From the right of one box to the left of the next, level through the columns between them."""
    (column, row), *others = line
    x, y = starts[column] + wide[column], _middle(row)
    path = [f"M{x:.1f} {y:.1f}"]
    for place, (column, row) in enumerate(others, 1):
        left, to = starts[column], _middle(row)
        half = (x + left) / 2
        path.append(f"C{half:.1f} {y:.1f} {half:.1f} {to:.1f} {left:.1f} {to:.1f}")
        x, y = left, to
        if place < len(others):
            x = left + wide[column]
            path.append(f"H{x:.1f}")
    return "".join(path)


def _middle(row: float) -> float:
    return PAD_PX + row * ROW_PX + BOX_PX / 2


def _box(
    run: RunFacts,
    name: str,
    text: str,
    members: Sequence[str],
    hot: bool,
    x: float,
    row: float,
    width: float,
    links: Mapping[str, str],
) -> Element:
    stages = [run.stages[one] for one in members]
    looks = sorted((look(run, one) for one in stages), key=lambda one: [*WORST, one.sign].index(one.sign))
    told = looks[0].word if len(stages) == 1 else counts(run, stages)
    top = PAD_PX + row * ROW_PX
    group = tag(
        "g",
        tag("title", f"{name}: {told}{', on the critical path' if hot else ''}"),
        tag("rect", x=f"{x:.1f}", y=f"{top:.1f}", width=f"{width:.1f}", height=BOX_PX, rx=6),
        tag("text", looks[0].sign, x=f"{x + 9:.1f}", y=f"{top + 19:.1f}", class_="sign"),
        tag("text", text, x=f"{x + 26:.1f}", y=f"{top + 19:.1f}"),
        class_=f"box {looks[0].css}{' critical' if hot else ''}",
        data_box=name,
    )
    link = links.get(members[0])
    return tag("a", group, href=f"#{link}", aria_label=f"{name}: {told}") if link else group
