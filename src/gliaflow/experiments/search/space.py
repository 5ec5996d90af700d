"""The space of a search: which parameters vary, and between which values, as a file says."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gliaflow.errors import BadInput, one_line

KEYS = {"low", "high", "log", "step", "choices"}
Value = float | int | str | bool | None


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones if both are."""

    name: str
    low: float
    high: float
    log: bool = False
    """Whether to draw on a logarithmic scale."""
    step: float | None = None
    """Only `low`, `low + step`, and so on."""

    @property
    def whole(self) -> bool:
        """Whether its values are integers."""
        return isinstance(self.low, int) and isinstance(self.high, int) and not isinstance(self.step, float)


@dataclass(frozen=True)
class Choices:
    """Values without an order."""

    name: str
    values: tuple[Value, ...]


def read(path: Path) -> list[Range | Choices]:
    """The space in a YAML or JSON file: a mapping from names of parameters to what each may be.

    `{low: 1e-4, high: 1e-1, log: true}`, `{low: 16, high: 512, step: 16}`, `{choices: [adam, sgd]}`, or a list alone.

    Raises:
        BadInput: there is no such file, or it says something else.
    """
    try:
        found = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: {one_line(error)}") from None
    if not isinstance(found, dict) or not found:
        raise BadInput(f"{path}: no mapping from parameters to ranges, as in `train.lr: {{low: 1e-4, high: 1e-1}}`")
    return [_one(path, str(name), given) for name, given in found.items()]


def _one(path: Path, name: str, given: Any) -> Range | Choices:
    where = f"{path}: {name}"
    if isinstance(given, list):
        given = {"choices": given}
    if not isinstance(given, dict) or not given.keys() <= KEYS:
        raise BadInput(f"{where}: write {{low: …, high: …}}, with log: true or step: …, or {{choices: […]}}")
    if "choices" in given:
        values = given["choices"]
        plain = isinstance(values, list) and all(isinstance(one, Value) for one in values)
        if not plain or not values or len(given) > 1 or len({repr(one) for one in values}) < len(values):
            raise BadInput(f"{where}: choices is a list of different plain values, and stands alone")
        return Choices(name, tuple(values))
    low: Any = given.get("low")
    high: Any = given.get("high")
    step: Any = given.get("step")
    log = given.get("log", False)
    if not _number(low) or not _number(high) or not low < high:
        raise BadInput(f"{where}: low and high are numbers, and low is less than high")
    if not isinstance(log, bool) or (log and low <= 0):
        raise BadInput(f"{where}: log is true or false, and needs a low above 0")
    if step is not None and (not _number(step) or step <= 0 or log):
        raise BadInput(f"{where}: step is a number above 0, and does not go with log")
    return Range(name, low, high, log, step)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def changed(document: Mapping[str, Any], values: Mapping[str, Value]) -> dict[str, Any]:
    """A copy of nested parameters with these values, given by dotted names.

    Raises:
        BadInput: there is no such parameter.
    """
    found = dict(document)
    for name, value in values.items():
        parts = name.split(".")
        here = found
        for part in parts[:-1]:
            inner = here.get(part)
            if not isinstance(inner, Mapping):
                raise BadInput(f"there is no parameter '{name}'")
            here[part] = here = dict(inner)
        if parts[-1] not in here:
            raise BadInput(f"there is no parameter '{name}'")
        here[parts[-1]] = value
    return found


def current(document: Mapping[str, Any], space: Sequence[Range | Choices]) -> dict[str, Value]:
    """The values that the parameters of the space have now."""
    return {one.name: lookup(document, one.name) for one in space}


def lookup(document: Any, name: str) -> Any:
    """The value of a nested parameter, given by its dotted name; of a list, as DVC has it, by the place from 0.

    Raises:
        BadInput: there is no such parameter.
    """
    for part in name.split("."):
        inside = (
            document.items()
            if isinstance(document, Mapping)
            else enumerate(document if isinstance(document, list) else ())
        )
        found = {str(key): value for key, value in inside}
        if part not in found:
            raise BadInput(f"there is no parameter '{name}'")
        document = found[part]
    return document


def holds(one: Range | Choices, value: Value) -> bool:
    """Whether a value lies in its part of the space."""
    if isinstance(one, Choices):
        return any(value == other and type(value) is type(other) for other in one.values)
    if not isinstance(value, int | float) or isinstance(value, bool) or not one.low <= value <= one.high:
        return False
    steps = (value - one.low) / one.step if one.step else 0
    return (not one.whole or isinstance(value, int)) and abs(steps - round(steps)) < 1e-9
