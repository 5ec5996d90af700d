"""Plots of tables, drawn as SVG: DVC's own ones are programs, which a browser would load from a network."""

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from xml.etree.ElementTree import Element

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gliaflow.page.markup import tag

TABLES = (".csv", ".tsv", ".json", ".yaml", ".yml")
LINES, POINTS = ("linear", "simple", "smooth", ""), ("scatter", "scatter_jitter")  # templates of DVC
MOST_POINTS = 400  # of a line
MOST_LINES = 8
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 380, 220, 54, 12, 12, 34
Row = Mapping[str, object]


@dataclass(frozen=True)
class Line:
    """One line of a plot."""

    name: str
    points: Sequence[tuple[float, float]]


@dataclass
class Plot:
    """A plot: where its data is, and how dvc.yaml says it is drawn."""

    title: str
    x: str
    y: str
    lines: list[Line] = field(default_factory=list)
    scattered: bool = False


class NotDrawn(Exception):
    """A plot cannot be drawn here; the message is the reason, as a phrase."""


def rows(data: bytes, name: str) -> list[Row]:
    """The rows of a table, by the end of its name.

    Raises:
        NotDrawn: it holds none.
    """
    suffix = PurePosixPath(name).suffix.lower()
    try:
        text = data.decode("utf-8-sig")
        if suffix in (".csv", ".tsv"):
            return list(csv.DictReader(io.StringIO(text), delimiter="\t" if suffix == ".tsv" else ","))
        found = json.loads(text) if suffix == ".json" else YAML(typ="safe", pure=True).load(text)
    except (ValueError, csv.Error, YAMLError, RecursionError):
        raise NotDrawn(f"it cannot be read as {suffix[1:].upper()}") from None
    listed = _first_list(found)
    if listed is None:
        raise NotDrawn("it holds no list of rows")
    return listed


def plot(tables: Mapping[str, list[Row]], drawn: Mapping[str, object], title: str) -> Plot:
    """The lines of a plot, as `drawn` of dvc.yaml says; without a word there, the last column by the number of the row.

    Raises:
        NotDrawn: its template or its columns are not known here.
    """
    template = str(drawn.get("template") or "")
    if template not in (*LINES, *POINTS):
        raise NotDrawn(f"the template '{template}' is drawn by dvc plots show alone")
    made = Plot(str(drawn.get("title") or title), "", "", scattered=template in POINTS)
    for file, table in tables.items():
        for y in _columns(drawn.get("y"), file) or _last(table):
            x = next(iter(_columns(drawn.get("x"), file)), "")
            made.lines.append(Line(y if len(tables) == 1 else f"{file}: {y}", _points(table, x, y)))
            made.x, made.y = made.x or x or "row", made.y or y
    made.lines = [one for one in made.lines if one.points][:MOST_LINES]
    made.x, made.y = str(drawn.get("x_label") or made.x), str(drawn.get("y_label") or made.y)
    if not made.lines:
        raise NotDrawn("it holds no numbers in the columns that are to be drawn")
    return made


def chart(made: Plot) -> Element:
    """A plot as SVG."""
    every = [point for line in made.lines for point in line.points]
    low, high = _span([x for x, _ in every])
    bottom, top = _span([y for _, y in every])

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        return across, TOP + (top - y) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    parts: list[Element] = []
    for y in _ticks(bottom, top):
        _, down = at(low, y)
        parts.append(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{down:.1f}", y2=f"{down:.1f}", class_="tick"))
        parts.append(tag("text", f"{y:.4g}", x=LEFT - 6, y=f"{down + 4:.1f}", class_="small end"))
    for x in _ticks(low, high):
        across, _ = at(x, bottom)
        parts.append(tag("text", f"{x:.4g}", x=f"{across:.1f}", y=HEIGHT - BOTTOM + 15, class_="small mid"))
    parts.append(tag("text", made.x, x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 4, class_="small mid"))
    for number, line in enumerate(made.lines):
        shown = [at(x, y) for x, y in _fewer(line.points)]
        if made.scattered or len(shown) == 1:
            parts += [
                tag("circle", cx=f"{x:.1f}", cy=f"{y:.1f}", r=2.5, class_=f"dot series{number}") for x, y in shown
            ]
        else:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in shown)
            parts.append(tag("path", d=f"M{path}", class_=f"curve series{number}"))
    return tag("svg", tag("title", told(made)), parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", class_="plot", role="img")


def told(made: Plot) -> str:
    """What a plot shows, in words."""
    parts = [
        f"{one.name}, {len(one.points)} points, from {one.points[0][1]:.4g} to {one.points[-1][1]:.4g}"
        for one in made.lines
    ]
    return f"{made.title}, by {made.x}: {'; '.join(parts)}"


def _first_list(found: object) -> list[Row] | None:
    if isinstance(found, list):
        return [one for one in found if isinstance(one, dict)]
    for one in found.values() if isinstance(found, dict) else ():
        if (inside := _first_list(one)) is not None:
            return inside
    return None


def _columns(wanted: object, file: str) -> list[str]:
    """The columns that are named for a file; DVC takes a name, names, or either by file."""
    if isinstance(wanted, Mapping):
        return next(
            (_columns(one, file) for name, one in wanted.items() if PurePosixPath(str(name)) == PurePosixPath(file)), []
        )
    if isinstance(wanted, list):
        return [str(one) for one in wanted]
    return [] if wanted is None else [str(wanted)]


def _last(table: Sequence[Row]) -> list[str]:
    return [str(list(table[0])[-1])] if table and table[0] else []


def _points(table: Sequence[Row], x: str, y: str) -> list[tuple[float, float]]:
    """Pairs of numbers; where a column for x is not named, or holds text, the number of the row stands for it."""
    places = [_number(row.get(x)) for row in table] if x else []
    if not all(place is not None for place in places):
        places = []
    heights = [_number(row.get(y)) for row in table]
    pairs = zip(places or [float(number) for number in range(len(table))], heights, strict=True)
    return [(place, height) for place, height in pairs if place is not None and height is not None]


def _number(value: object) -> float | None:
    try:
        found = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def _span(values: Sequence[float]) -> tuple[float, float]:
    """The least and the largest value, and some room where they are the same."""
    low, high = min(values), max(values)
    return (low, high) if high > low else (low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2)


def _ticks(low: float, high: float) -> list[float]:
    """A few round numbers between two."""
    step = 10.0 ** math.floor(math.log10((high - low) / 2))
    step = next((step * one for one in (1, 2, 5) if (high - low) / (step * one) <= 5), step * 10)
    return [number * step for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _fewer(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Not more points than can be seen; the last one always."""
    step = max(math.ceil(len(points) / MOST_POINTS), 1)
    return [*points[::step], *([points[-1]] if (len(points) - 1) % step else [])]
