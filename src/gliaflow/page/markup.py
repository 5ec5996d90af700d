"""Elements of a page, and how numbers and times look in it. What is text in them is escaped when they are written."""

import re
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TypeAlias
from xml.etree.ElementTree import Element, tostring

from gliaflow.core.settings import human

UNSHOWN = re.compile("[^\t\n\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # what no page may hold
MINUTE, HOUR = 60.0, 3600.0
Child: TypeAlias = "str | Element | Iterable[Child] | None"


def tag(name: str, /, *children: Child, **attributes: object) -> Element:
    """An element; `class_` is the attribute class, `data_x` is data-x. What is None or False is left out."""
    made = Element(name)
    for key, value in attributes.items():
        if value is not None and value is not False:
            made.set(key.rstrip("_").replace("_", "-"), "" if value is True else plain(str(value)))
    for child in children:
        put(made, child)
    return made


def put(parent: Element, child: Child) -> None:
    """Add a child at the end."""
    if isinstance(child, str):
        if len(parent):
            parent[-1].tail = (parent[-1].tail or "") + plain(child)
        else:
            parent.text = (parent.text or "") + plain(child)
    elif isinstance(child, Element):
        parent.append(child)
    elif child is not None:
        for one in child:
            put(parent, one)


def prose(text: str) -> list[Child]:
    """A sentence in which code stands between backticks."""
    return [tag("code", part) if place % 2 else part for place, part in enumerate(text.split("`"))]


def plain(text: str) -> str:
    """The text with a mark for each character that no page may hold."""
    return UNSHOWN.sub("\ufffd", text)


def written(element: Element) -> str:
    """The element as HTML."""
    return tostring(element, encoding="unicode", method="html")


def rows_of(columns: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "", class_: str = "cards") -> Element:
    """A table of texts that may be scrolled in its own box; each row has its name first."""
    head = tag("tr", [tag("th", name, scope="col") for name in columns])
    body = [
        tag(
            "tr",
            tag("th", row[0], scope="row"),
            [tag("td", tag("code", cell), data_label=name) for name, cell in zip(columns[1:], row[1:], strict=True)],
        )
        for row in rows
    ]
    above = tag("caption", caption) if caption else None
    return tag("div", tag("table", above, tag("thead", head), tag("tbody", body), class_=class_), class_="wide")


def duration(seconds: float) -> str:
    """`0.31 s`, `12.5 s`, `3 min 05 s` or `2 h 07 min`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if round(seconds, 1) < MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < HOUR:
        return f"{whole // 60} min {whole % 60:02d} s"
    minutes = round(seconds / MINUTE)
    return f"{minutes // 60} h {minutes % 60:02d} min"


def moment(when: float) -> str:
    """A time with its zone, to the second."""
    return f"{datetime.fromtimestamp(when).astimezone():%Y-%m-%d %H:%M:%S %z}"


def size(bytes: int | None) -> str:
    """Bytes for a person; nothing if they are not known."""
    return "" if bytes is None else human(bytes)


def number(many: int, what: str) -> str:
    """`1 stage` or `2 stages`."""
    return f"{many} {what}{'' if many == 1 else 's'}"


def shortened(text: str, most: int) -> str:
    """The text, cut in its middle if it is longer than that."""
    if len(text) <= most:
        return text
    return f"{text[: (most - 1) // 2]}…{text[len(text) - most // 2 :]}"
