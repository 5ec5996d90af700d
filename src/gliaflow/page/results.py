"""What came of a run, on its page: metrics with their change, pictures and plots."""

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree.ElementTree import Element

from gliaflow.page.contents import NO_PICTURE, PICTURES, Made, files, picture_type, read
from gliaflow.page.drawing.plots import TABLES, NotDrawn, chart, plot, rows
from gliaflow.page.facts import MetricFacts, RunFacts
from gliaflow.page.markup import Child, prose, size, tag

OPEN_ROWS = 24  # of metrics that are shown unfolded
MOST_METRICS = 3000
MOST_TABLE_BYTES = 8 << 20  # of a table that is drawn
MOST_PLOTS = 60
MOST_PICTURE_BYTES = 2 << 20
NAMED = 12  # of the pictures that are left out


def metrics(run: RunFacts) -> list[Element]:
    """The metrics by file, each as it was at the commit that the run started from and as it is now."""
    if not run.metrics:
        return [tag("p", "No stage of this run made metrics.")]
    by_file: dict[str, list[MetricFacts]] = {}
    for one in run.metrics[:MOST_METRICS]:
        by_file.setdefault(one.file, []).append(one)
    found, room = list[Element](), OPEN_ROWS
    for name, some in by_file.items():
        found.append(_file(name, some, unfolded=len(some) <= room or len(by_file) == 1))
        room -= len(some) if len(some) <= room else 0
    if more := len(run.metrics) - MOST_METRICS if run.metrics[MOST_METRICS:] else 0:
        found.append(
            tag("p", prose(f"{more} more metrics are left out; `gliaflow metrics --all` has them."), class_="note")
        )
    against = f"commit {run.commit[:7]}, which the run started from" if run.commit else "the last commit"
    return [tag("p", f"“Before” is {against}."), *found]


def _file(name: str, some: Sequence[MetricFacts], unfolded: bool) -> Element:
    changed = sum(change(one) != "" for one in some)
    head = tag("tr", [tag("th", title, scope="col") for title in ("metric", "before", "now", "change")])
    body = [
        tag(
            "tr",
            tag("th", one.name or "(the whole file)", scope="row"),
            tag(
                "td",
                _shown(one.before) if one.known else "",
                data_label="before",
                class_=None if one.known else "empty",
            ),
            tag("td", tag("data", _shown(one.value), value=_exact(one.value)), data_label="now"),
            tag("td", change(one), data_label="change", class_=None if change(one) else "empty"),
            data_metric=one.name,
            data_file=one.file,
        )
        for one in some
    ]
    told = f" {len(some)} metric{'s' if some[1:] else ''}, {changed or 'none'} changed"
    shown = tag("div", tag("table", tag("thead", head), tag("tbody", body), class_="cards"), class_="wide")
    return tag("details", tag("summary", tag("b", name), told), shown, open=unfolded)


def change(one: MetricFacts) -> str:
    """How a metric changed, as a phrase; nothing if it did not."""
    if one.change is not None:
        return one.change
    if not one.known:
        return "new"
    value, before = one.value, one.before
    if value == before:
        return ""
    if isinstance(value, int | float) and isinstance(before, int | float):
        sign = "▲" if value > before else "▼" if value < before else ""
        return f"{sign} {value - before:+.4g}".strip()
    return "changed"


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _exact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


@dataclass
class Pictures:
    """The pictures of a run, as far as there is room for them."""

    shown: list[Element] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    """What is left out, each with its reason."""


def pictures(run: RunFacts, room: int) -> Pictures:
    """The pictures that the stages made, as long as all of them take no more than `room` bytes on the page."""
    found = Pictures()
    for made in files(run):
        if made.suffix in PICTURES or (not made.hash and made.output.kind == "plot"):
            data = read(run, made, MOST_PICTURE_BYTES)
            why = data if isinstance(data, str) else "" if picture_type(made, data) else NO_PICTURE
            if not why and len(data) * 4 // 3 + 500 > room:
                why = f"its {size(len(data))} have no room on this page"
            if why or isinstance(data, str):
                found.left.append(f"{made.path}: {why}")
            else:
                room -= len(data) * 4 // 3 + 500
                found.shown.append(_picture(made, data))
    return found


def _picture(made: Made, data: bytes) -> Element:
    source = f"data:{picture_type(made, data)};base64,{base64.b64encode(data).decode()}"
    image = tag("img", src=source, alt=f"{made.path}, a picture that the stage {made.stage.address} made")
    text = tag("figcaption", tag("b", made.path), " by ", made.stage.address)
    return tag("figure", image, text, data_hash=made.hash)


def left_out(what: Sequence[str]) -> list[Element]:
    """A list of what a page does not show, and why."""
    if not what:
        return []
    more = [tag("li", f"and {len(what) - NAMED} more")] if what[NAMED:] else []
    return [tag("p", "Not shown:"), tag("ul", [tag("li", one) for one in what[:NAMED]], more, class_="note")]


@dataclass(frozen=True)
class _Wanted:
    """A plot that a dvc.yaml asks for."""

    title: str
    files: Mapping[str, Made | None]
    drawn: Mapping[str, object]


def plots(run: RunFacts) -> list[Element]:
    """The plots of tables, drawn here; of those that cannot be drawn, why."""
    shown, left = list[Element](), list[str]()
    for wanted in _wanted(run):
        if len(shown) >= MOST_PLOTS:
            left.append(f"{wanted.title}: there are {MOST_PLOTS} plots already")
            continue
        try:
            tables = {name: _table(run, name, made) for name, made in wanted.files.items()}
            made = plot(tables, wanted.drawn, wanted.title)
        except NotDrawn as reason:
            left.append(f"{wanted.title}: {reason}")
        else:
            names: list[Child] = [
                [tag("span", "━ ", class_=f"key series{n}"), one.name, " "] for n, one in enumerate(made.lines)
            ]
            shown.append(
                tag(
                    "figure",
                    chart(made),
                    tag("figcaption", tag("b", made.title), tag("br"), names),
                    data_plot=wanted.title,
                )
            )
    return [tag("div", shown, class_="grid"), *left_out(left)] if shown or left else []


def _table(run: RunFacts, name: str, made: Made | None) -> list[Mapping[str, object]]:
    if made is None:
        raise NotDrawn(f"no stage of this run made {name}")
    data = read(run, made, MOST_TABLE_BYTES)
    if isinstance(data, str):
        raise NotDrawn(data)
    return rows(data, name)


def _wanted(run: RunFacts) -> Iterator[_Wanted]:
    """The plots at the top of a dvc.yaml, and the outputs that are plots, but for those that stand at the top too."""
    tables = {made.path: made for made in files(run) if made.suffix in TABLES}
    named = set[str]()
    told = run.first.get("plots")
    for one in told if isinstance(told, list) else ():
        folder, name = str(one.get("folder")), str(one.get("name"))
        drawn = one["drawn"] if isinstance(one.get("drawn"), dict) else {}
        named_by_file = isinstance(drawn.get("y"), dict)
        sources = [str(key) for key in drawn["y"]] if named_by_file else [name]
        found: dict[str, Made | None] = {}
        for source in sources:
            path = _from_root(run, folder, source)
            inside = [file for file in tables if file == path or file.startswith(f"{path}/")]
            found |= {source if file == path and named_by_file else file: tables[file] for file in inside}
            if not inside:
                found[source] = None
        suffixes = {Path(file).suffix.lower() for file in found}
        if not suffixes & PICTURES.keys():
            named |= {made.path for made in found.values() if made}
            if named_by_file:
                yield _Wanted(name, found, drawn)
            else:
                yield from (_Wanted(file, {file: made}, drawn) for file, made in found.items())
    for made in tables.values():
        if made.output.kind == "plot" and made.path not in named:
            yield _Wanted(made.path, {made.path: made}, made.output.drawn)


def _from_root(run: RunFacts, folder: str, name: str) -> str:
    """A path of a dvc.yaml, from the folder in which the run was called."""
    return Path(os.path.relpath(Path(folder, name), run.root)).as_posix()
