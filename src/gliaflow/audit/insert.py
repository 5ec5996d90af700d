"""Dependencies that are put into the text of a dvc.yaml; every other byte of it stays.

The text is not dumped anew: ruamel.yaml tells where each value stands, and the lines go in there. What comes out is
read again. If anything but the new dependencies has changed, as where stages share a list, nothing is written.
"""

import copy
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gliaflow.errors import UserError

Deps = dict[str, dict[str, None]]
"""By the name of a stage as it stands in the file, the new dependencies in their order."""
PLAIN = re.compile(r"[\w./][\w./@+=-]*\.\w*[A-Za-z]\w*")  # needs no quotes: it can be no number, and no word of YAML
COLUMNS = 120  # of a line of several dependencies, if no other line of the list is longer
STEP = "  "


class _Cannot(Exception):
    """Why the lines have no place in this text."""


class _Edit(NamedTuple):
    place: int
    text: str


def edited(path: Path, wanted: Mapping[str, Iterable[str]]) -> bytes:
    """What a dvc.yaml holds once the stages have these dependencies too.

    Raises:
        UserError: one of them has no place in it; it names the stage and the lines to be written by hand.
    """
    text = path.read_bytes().decode()
    for name, deps in wanted.items():
        lines = list(deps)
        try:
            text = _with(text, name, lines)
        except (_Cannot, YAMLError) as error:
            why = str(error) if isinstance(error, _Cannot) else "its text is too unusual"
            where = os.path.relpath(path)
            raise UserError(f"{where}: stage '{name}': {why}; add by hand: {', '.join(lines)}") from None
    return text.encode()


def replace(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, with the mode that it has."""
    path = path.resolve()
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(data)
        made = Path(file.name)
    try:
        made.chmod(path.stat().st_mode & 0o7777)
        made.replace(path)
    except BaseException:
        made.unlink()
        raise


def _with(text: str, name: str, deps: list[str]) -> str:
    before = _load(text)
    definition = before["stages"][name]
    place = ["do"] if "foreach" in definition else []
    node = _child(_child(YAML(typ="safe", pure=True).compose(text), "stages"), name)
    for key in place:
        node = _child(node, key)
        definition = definition[key]
    index, more = _edit(text, node, "deps" in definition, deps)
    made = text[:index] + more + text[index:]
    expected = copy.deepcopy(before)
    inside = expected["stages"][name]
    for key in place:
        inside = inside[key]
    inside["deps"] = [*inside.get("deps", []), *deps]
    if _load(made) != expected:
        raise _Cannot("its deps cannot be added to without changing more of the file")
    return made


def _load(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def _child(node: Node, name: str) -> Node:
    """The value of a key of a mapping that stands at this place, not at that of an anchor."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == name:
                if not key.end_mark.index <= value.start_mark.index <= node.end_mark.index:
                    raise _Cannot(f"its '{name}' is that of an anchor")
                found: Node = value
                return found
    raise _Cannot(f"there is no '{name}' of its own")


def _edit(text: str, stage: Node, has: bool, deps: list[str]) -> _Edit:
    words = [_word(dep) for dep in deps]
    if not has:
        return _new(text, stage, words)
    listed = _child(stage, "deps")
    if not isinstance(listed, SequenceNode):
        raise _Cannot("its deps come from a parameter")
    if listed.flow_style:
        return _into_flow(text, listed, words)
    return _into_block(text, listed, words)


def _word(dep: str) -> str:
    if "${" in dep or "\n" in dep:
        raise _Cannot("the name of a file is too unusual")
    return dep if PLAIN.fullmatch(dep) else json.dumps(dep, ensure_ascii=False)


def _into_flow(text: str, listed: SequenceNode, words: list[str]) -> _Edit:
    """After the last entry of `[a, b]`; on lines of its own where the others are, or where a line would be too long."""
    start, end = listed.start_mark.index, listed.end_mark.index
    if not listed.value:
        return _Edit(start + 1, ", ".join(words))
    last, eol = listed.value[-1], _eol(text)
    index = _end(last)
    lines = text[start:end].split("\n")
    if len(lines) == 1:
        return _Edit(index, "".join(f", {word}" for word in words))
    alone = len({one.start_mark.line for one in listed.value}) == len(listed.value) > 1
    indent, most = _indent(text, last.start_mark.index), max(COLUMNS, *map(len, lines))
    indent += "" if last.start_mark.line > listed.start_mark.line else STEP
    column, more = index - _line_start(text, index), ""
    for place, word in enumerate(words):
        rest = 2 if place == len(words) - 1 else 1  # a comma, or the bracket that ends the list
        if alone or column + len(f", {word}") + rest > most:
            more += f",{eol}{indent}{word}"
            column = len(indent) + len(word)
        else:
            more += f", {word}"
            column += len(f", {word}")
    return _Edit(index, more)


def _into_block(text: str, listed: SequenceNode, words: list[str]) -> _Edit:
    """Below the last line of the list, indented as its first."""
    indent = text[_line_start(text, listed.start_mark.index) : listed.start_mark.index]
    if indent.strip():
        raise _Cannot("its list begins on a line with something else")
    after = _line_end(text, _end(listed.value[-1]))
    return _Edit(after, "".join(f"{_eol(text)}{indent}- {word}" for word in words))


def _new(text: str, stage: Node, words: list[str]) -> _Edit:
    """A list of its own, after the command."""
    assert isinstance(stage, MappingNode)
    key, command = next((pair for pair in stage.value if pair[0].value == "cmd"), (None, None))
    if key is None or command is None:
        raise _Cannot("its command is that of an anchor")
    if stage.flow_style:
        _child(stage, "cmd")
        return _Edit(_end(command), f", deps: [{', '.join(words)}]")
    column, eol = key.start_mark.column, _eol(text)
    indent = text[key.start_mark.index - column : key.start_mark.index]
    if indent.strip():
        raise _Cannot("its command stands on a line with something else")
    lines = [f"{indent}{line}" for line in ["deps:", *(f"{STEP}- {word}" for word in words)]]
    if isinstance(command, ScalarNode) and command.style in ("|", ">"):
        after = _end_of_block(text, key)
        if after == len(text):  # a newline here would be one of the command: so in front of it
            return _Edit(key.start_mark.index - column, "".join(f"{line}{eol}" for line in lines))
    elif command.start_mark.index < key.end_mark.index:  # an anchor's
        after = _line_end(text, key.end_mark.index)
    else:
        after = _line_end(text, _end(command))
    return _Edit(after, "".join(f"{eol}{line}" for line in lines))


def _end(node: Node) -> int:
    """Where the text of a value ends; that of a block of several reaches over comments behind it."""
    if isinstance(node, MappingNode) and not node.flow_style and node.value:
        return max(_end(node.value[-1][0]), _end(node.value[-1][1]))
    if isinstance(node, SequenceNode) and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _end_of_block(text: str, key: Node) -> int:
    """The end of the last line of the text that begins with `|` or `>` behind a key."""
    end = _line_end(text, key.end_mark.index)
    at = end
    while (following := text.find("\n", at)) != -1:
        at = _line_end(text, following + 1)
        line = text[following + 1 : at]
        if line.strip() and len(line) - len(line.lstrip(" ")) <= key.start_mark.column:
            break
        if line.strip():
            end = at
        if at == len(text):
            break
    return end


def _line_start(text: str, index: int) -> int:
    return text.rfind("\n", 0, index) + 1


def _line_end(text: str, index: int) -> int:
    """Where the line ends, in front of what ends it."""
    end = text.find("\n", index)
    if end == -1:
        return len(text)
    return end - 1 if text[end - 1] == "\r" else end


def _indent(text: str, index: int) -> str:
    """The spaces at the beginning of the line."""
    start = _line_start(text, index)
    return text[start : start + len(text[start:]) - len(text[start:].lstrip(" "))]


def _eol(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
