"""The text of a dvc.lock as entries, one a stage, which can be exchanged one by one.

DVC reads the whole file and writes it again for each stage. That leaves most text as it is, but not all: some numbers
lose a digit each time. So an entry knows what becomes of it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dvc.utils.serialize import parse_yaml

from gliaflow.lockfiles.text import dumped, quick, rewritten

HEAD = "schema: '2.0'\nstages:\n"
ENTRY = re.compile(r"^  (?=[^\s#-])", re.MULTILINE)
SECTION = re.compile(r"^(?=\S)", re.MULTILINE)
MOST_REWRITES = 50  # after which the text of an entry must have settled, if this is to know of it


class Strange(Exception):
    """A text that DVC did not write; DVC has to exchange its entries itself."""


class Entry:
    """The text of one stage, as it is at `first`; a `steady` one DVC leaves so."""

    def __init__(self, text: str, steady: bool) -> None:
        self.first, self.steady = text, steady
        self._texts = [text]
        self._settled = steady  # the last of the texts stays

    def text(self, rewrites: int = 0) -> str:
        """The text after DVC has written the file `rewrites` more times."""
        while not self._settled and len(self._texts) <= rewrites:
            last = self._texts[-1]
            found = rewritten(HEAD + last).removeprefix(HEAD)
            if found == last:
                self._settled, self.steady = True, len(self._texts) == 1
            else:
                self._texts.append(found)
        return self._texts[min(rewrites, len(self._texts) - 1)]


def entry(name: str, value: Mapping[str, Any]) -> Entry:
    """The entry of a stage as DVC writes it first."""
    text = quick({name: value}, 2)
    if text is not None:
        return Entry(text, steady=True)
    whole = dumped({"schema": "2.0", "stages": {name: value}})
    if not whole.startswith(HEAD):
        raise Strange
    return Entry(whole.removeprefix(HEAD), steady=False)


def value(text: str) -> Any:
    """What the text of an entry holds."""
    (found,) = parse_yaml(HEAD + text, "dvc.lock")["stages"].values()
    return found


@dataclass(frozen=True)
class Text:
    """A lock file's text: what stands before the entries, the entries by stage, and what stands behind them."""

    head: str
    entries: dict[str, Entry]
    tail: str


def split(text: str, data: Mapping[str, Any]) -> Text:
    """Divide the text of a lock file into entries; `data` is what it holds.

    Raises:
        Strange: not every piece of it is what DVC writes for its part of the data, now or when written again.
    """
    if not text:
        return Text(HEAD, {}, "")
    sections = {str(key): value for key, value in data.items()}
    stages = sections.get("stages")
    if not isinstance(stages, dict) or not stages or list(sections) != list(data):
        raise Strange
    place = list(sections).index("stages")
    items = list(sections.items())
    head = _steady(dict(items[:place])) + "stages:\n"
    tail = _steady(dict(items[place + 1 :]))
    if not (text.startswith(head) and text.endswith(tail)):
        raise Strange
    pieces = ENTRY.split(text[len(head) : len(text) - len(tail)])[1:]
    if len(pieces) != len(stages):
        raise Strange
    made = {}
    for piece, (name, value) in zip(pieces, stages.items(), strict=True):
        made[name] = _found(f"  {piece}", name, value)
    result = Text(head, made, tail)
    if head + "".join(one.text() for one in made.values()) + tail != text:
        raise Strange
    return result


def _steady(data: dict[str, Any]) -> str:
    if not data:
        return ""
    text = dumped(data)
    if rewritten(text) != text:
        raise Strange
    return text


def _found(piece: str, name: Any, value: Any) -> Entry:
    """The entry that the piece is: what DVC writes of the stage, or what it makes of that some rewrites later."""
    if not isinstance(name, str) or not isinstance(value, dict):
        raise Strange
    made = entry(name, value)
    texts = [made.text()]
    while texts[-1] != piece:
        texts.append(made.text(len(texts)))
        if texts[-1] == texts[-2] or len(texts) > MOST_REWRITES:
            raise Strange
    return Entry(piece, made.steady)
