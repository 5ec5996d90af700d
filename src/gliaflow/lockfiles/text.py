"""The text that DVC writes for plain data, without ruamel.yaml where it is obvious: that takes milliseconds an entry.

`quick` knows only what is plain beyond doubt. For all else it gives nothing, and DVC's own functions are asked.
"""

import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import dvc.utils.serialize as serialize
from dvc.utils.serialize import dumps_yaml, parse_yaml_for_update

WIDTH = 80  # ruamel.yaml's, from which on it breaks lines
LONGEST_KEY = 60  # far below the length from which on a key gets a line of its own
PLAIN = re.compile(
    r"(?!(?:true|false|null)\Z)(?:[a-z/_]|\.\.?/)(?:[!-9;-~]|:(?![ ]|\Z)| (?![ #]|\Z))*\Z", re.IGNORECASE
)
# Digits and letters that are no number: neither all digits, nor with an exponent, nor binary.
HASH = re.compile(r"(?!0b)(?![0-9]+(?:e[0-9]*)?(?:\.dir)?\Z)[0-9][0-9a-f]*(?:\.dir)?\Z")
SHORT = re.compile(r"[!-~]{0,100}\Z")  # without spaces, so that it is written alike wherever it stands
DECIMAL = re.compile(r"-?\d+\.\d+\Z")


class _Doubtful(Exception):
    """DVC has to be asked."""


def dumped(data: Any) -> str:
    """What DVC writes for the data."""
    found = quick(data) if isinstance(data, dict) and data else None
    return str(dumps_yaml(data)) if found is None else found


def quick(data: Mapping[str, Any], indent: int = 0) -> str | None:
    """What DVC writes for a mapping that stands `indent` columns in; None if DVC has to be asked.

    DVC leaves such a text as it is when it writes the file again.
    """
    writer = _Writer()
    try:
        writer.mapping(data, indent, " " * indent)
    except _Doubtful:
        return None
    return "".join(writer.pieces)


def rewritten(text: str) -> str:
    """What becomes of a file's text when DVC writes it again, as it does for each stage."""
    return str(dumps_yaml(parse_yaml_for_update(text, "")))


@contextmanager
def quick_records() -> Iterator[None]:
    """Have DVC write records of the run-cache by `dumped`."""

    def dump(path: str, data: Any) -> None:
        Path(path).write_text(dumped(data), encoding="utf-8")

    real = serialize.dump_yaml
    serialize.dump_yaml = dump
    try:
        yield
    finally:
        serialize.dump_yaml = real


class _Writer:
    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._seen: set[int] = set()

    def mapping(self, data: Mapping[str, Any], indent: int, first: str) -> None:
        """Each item on a line, the first one after `first`."""
        self._once(data)
        start = first
        for key, value in data.items():
            self.pieces += (start, _key(key), ":")
            self._value(value, indent, indent + len(key) + 1)
            start = " " * indent

    def _sequence(self, data: list[Any], indent: int, first: str) -> None:
        self._once(data)
        start = first
        for value in data:
            kind = type(value)
            if kind is list and value:
                self._sequence(value, indent + 2, f"{start}- ")
            elif kind in (dict, OrderedDict) and value:
                self.mapping(value, indent + 2, f"{start}- ")
            else:
                self.pieces += (start, "-")
                if value is None:
                    self.pieces.append(" ")
                self._value(value, indent, indent + 1)
            start = " " * indent

    def _value(self, value: Any, indent: int, column: int) -> None:
        kind = type(value)
        if kind is list and value:
            self.pieces.append("\n")
            self._sequence(value, indent, " " * indent)
        elif kind in (dict, OrderedDict) and value:
            self.pieces.append("\n")
            self.mapping(value, indent + 2, " " * (indent + 2))
        elif kind in (list, dict, OrderedDict):
            self._once(value)
            self.pieces.append(" []\n" if kind is list else " {}\n")
        else:
            self.pieces += (_scalar(value, column, indent + 2), "\n")

    def _once(self, data: Any) -> None:
        """What stands twice in the data is written as an anchor and an alias."""
        if id(data) in self._seen:
            raise _Doubtful
        self._seen.add(id(data))


def _key(key: Any) -> str:
    if type(key) is str and len(key) <= LONGEST_KEY and " " not in key and PLAIN.match(key):
        return key
    raise _Doubtful


def _scalar(value: Any, column: int, indent: int) -> str:
    """A scalar that begins at `column`, with the space before it; what is broken goes on at `indent`."""
    if value is None:
        return ""
    kind = type(value)
    if kind is str:
        if PLAIN.match(value) or HASH.match(value):
            return _broken(value, column, indent)
        return _asked(value, column, indent)
    if kind is bool:
        return _broken("true" if value else "false", column, indent)
    if kind is int:
        return _broken(str(value), column, indent)
    if kind is float and DECIMAL.match(text := repr(value)):
        return _broken(text, column, indent)
    if kind is float:
        return _asked(value, column, indent)
    raise _Doubtful


def _broken(text: str, column: int, indent: int) -> str:
    """As ruamel.yaml breaks a plain scalar."""
    column += 1
    if column + len(text) <= WIDTH:
        return f" {text}"
    pieces = [" "]
    for number, word in enumerate(text.split(" ")):
        if number and column >= WIDTH:
            pieces.append("\n" + " " * indent)
            column = indent
        elif number:
            pieces.append(" ")
            column += 1
        if len(word) + column > WIDTH and column > indent:
            pieces.append("\n" + " " * indent)
            column = indent
        pieces.append(word)
        column += len(word)
    return "".join(pieces)


def _asked(value: str | float, column: int, indent: int) -> str:
    text = _alone(value) if type(value) is float or SHORT.match(str(value)) else None
    if text is None:
        raise _Doubtful
    return f" {text}" if text.startswith("'") else _broken(text, column, indent)


@lru_cache(maxsize=4096)
def _alone(value: str | float) -> str | None:
    """What DVC writes for a scalar without spaces; None if it depends on the place, or changes when written again."""
    text = str(dumps_yaml({"k": value}))
    found = text[3:-1]
    steady = text.startswith("k: ") and SHORT.match(found) and not found.startswith('"') and rewritten(text) == text
    return found if steady else None
