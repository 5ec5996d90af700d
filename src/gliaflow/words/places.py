"""Places in files: the line of a key in YAML, of a byte or a character, and of a value that cannot be read."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

CONFLICT = re.compile(r"^([<=>]{7})( |$)", re.MULTILINE)
NAMED = re.compile(r"(stages)\.(.+)\.(\w+)|(artifacts)\.(.+)")
INDEX = re.compile(r"\[(\d+)\]")


def content(path: str) -> str:
    """What stands in a file; nothing if it cannot be read."""
    with suppress(OSError):
        return Path(path).read_text("utf-8", errors="replace")
    return ""


def line_of_key(text: str, keys: Sequence[object]) -> int | None:
    """The line on which the value at `keys` begins in a YAML text; of the innermost that is there, if it is not.

    A stage `a@1` of a group is found at `a`, what belongs to it below `do`. None if nothing of it is there.
    """
    data: Any = None
    with suppress(YAMLError, ValueError, RecursionError):
        data = YAML(typ="rt").load(text)
    line = None
    for key in keys:
        found = _item(data, key)
        if found is None and isinstance(data, Mapping):
            found = _item(data.get("do"), key)
        if found is None and isinstance(key, str):
            found = _item(data, key.partition("@")[0])
        if found is None:
            break
        data, line = found
    return line


def _item(data: Any, key: object) -> tuple[Any, int] | None:
    """An item of a mapping or sequence, and its line."""
    try:
        value, places = data[key], data.lc.data[key]  # line and column of the key, and in a mapping those of the value
    except (AttributeError, KeyError, IndexError, TypeError):
        return None
    line = value.lc.line if hasattr(value, "lc") else places[0] if value is None else places[-2]
    return value, int(line) + 1


def keys_of(dotted: str) -> list[object]:
    """The keys that a dotted name of DVC stands for: `stages.a.cmd`, `vars[0]`, `plots.2`."""
    if match := NAMED.fullmatch(dotted):  # the name of a stage may hold dots
        return [part for part in match.groups() if part]
    return [int(part) if part.isdecimal() else part for part in INDEX.sub(r".\1", dotted).split(".")]


def line_at(text: str | bytes, place: int) -> int:
    """The line of a character or byte, counted from 1."""
    return text[:place].count("\n" if isinstance(text, str) else b"\n") + 1  # type: ignore[arg-type]


def marked(error: MarkedYAMLError) -> str:
    """What is wrong with a YAML text, on which line and in which column, and where what it belongs to begins."""
    parts = [(error.context, error.context_mark), (error.problem, error.problem_mark)]
    told = [
        f"{text}, line {mark.line + 1}, column {mark.column + 1}" if mark else str(text) for text, mark in parts if text
    ]
    marks = {(mark.line, mark.column) for _, mark in parts if mark}
    if len(told) == 1:
        return told[0]
    return f"{told[1]} ({told[0]})" if len(marks) > 1 else told[1]


def unreadable_value(text: str) -> tuple[int, str] | None:
    """The line and the text of the first value of a YAML text that is none of its kind, as 2020-13-45 is no date."""
    with suppress(YAMLError, RecursionError):
        root = YAML(typ="safe", pure=True).compose(text)
        for node in _scalars(root) if root is not None else ():
            try:
                loader = YAML(typ="safe", pure=True)
                loader.constructor.construct_object(node)
            except (ValueError, OverflowError):
                return node.start_mark.line + 1, str(node.value)
    return None


def _scalars(node: Node, above: tuple[Node, ...] = ()) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif node not in above:  # an alias may stand for what it lies in
        inside = node.value if isinstance(node, SequenceNode) else []
        inside = [one for pair in node.value for one in pair] if isinstance(node, MappingNode) else inside
        for one in inside:
            yield from _scalars(one, (*above, node))
