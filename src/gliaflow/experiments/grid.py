"""Sets of parameters: what `-S` and a file of rows say, as one set for each experiment."""

import csv
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import get_hydra_sweeps
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gliaflow.errors import BadInput, one_line

SEPARATORS = {".csv": ",", ".tsv": "\t"}
QUOTED = re.compile(r"(\\*)('|$)")  # backslashes count only before a quote
DEFAULT = "params.yaml"  # to which a name belongs that names no file


@dataclass(frozen=True)
class ParameterSet:
    """What one experiment changes of the parameters of the workspace."""

    overrides: Mapping[str, tuple[str, ...]]
    """Overrides in the grammar of `dvc exp run -S`, as `train.epochs=3`, by the file that they change."""

    @property
    def values(self) -> dict[str, str]:
        """What is changed, by name; a name in another file than params.yaml has that in front."""
        found = {}
        for file, overrides in self.overrides.items():
            for one in overrides:
                name, _, value = one.partition("=")
                found[name.lstrip("+") if file == DEFAULT else f"{file}:{name.lstrip('+')}"] = value
        return found

    def __str__(self) -> str:
        """All that is changed, in one line."""
        return ", ".join(f"{name}={value}" for name, value in self.values.items()) or "parameters as they are"


def sets(params: Sequence[str], rows: Path | None = None) -> list[ParameterSet]:
    """Every combination of what `params` list, with every row of the file `rows`; each set once.

    Args:
        params: As `-S` takes them: `name=1,2`, `name=range(1,6)`, `name=choice(a,b)`, `file:name=value`.
        rows: A table in CSV or TSV, whose cells hold what may follow the `=`; a list of mappings in JSON or YAML; or
            JSON Lines. Names are as in `params`, and an empty cell leaves its parameter as it is.

    Raises:
        BadInput: an override or the file cannot be understood.
    """
    lists = [list(row) for row in _rows(rows)] if rows else [[]]
    found = [one for row in lists for one in _combinations([*params, *row])]
    unique = {json.dumps(one.overrides, sort_keys=True): one for one in found}
    return list(unique.values())


def _combinations(params: Sequence[str]) -> list[ParameterSet]:
    for one in params:
        if "=" not in one and not one.startswith("~"):
            raise BadInput(f"-S {one}: no value; write NAME=VALUE, or NAME=VALUE,VALUE for several")
    try:
        by_file = get_hydra_sweeps(to_path_overrides(params))
    except Exception as error:  # hydra's parser raises what it likes
        if isinstance(error, DvcException) or type(error).__module__.startswith(("hydra", "antlr4")):
            raise BadInput(f"-S {' -S '.join(params)}: {one_line(error)}") from None
        raise
    return [ParameterSet({file: tuple(found) for file, found in one.items()}) for one in by_file]


def _rows(path: Path) -> Iterable[list[str]]:
    """The overrides of each row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            found = _read(path.suffix.lower(), file)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except (ValueError, YAMLError, csv.Error) as error:  # a JSONDecodeError and a UnicodeDecodeError are ValueErrors
        raise BadInput(f"{path}: {one_line(error)}") from None
    if not found:
        raise BadInput(f"{path}: no rows; write one for each experiment")
    return [_overrides(path, number, row) for number, row in enumerate(found, 1)]


def _read(suffix: str, file: Any) -> list[Any]:
    if suffix in SEPARATORS:
        table = csv.DictReader(file, delimiter=SEPARATORS[suffix], skipinitialspace=True, restval="", strict=True)
        return [{name: _AsItStands(value) for name, value in row.items() if value} for row in table]
    if suffix == ".jsonl":
        return [json.loads(line) for line in file if line.strip()]
    if suffix not in (".json", ".yaml", ".yml"):
        raise ValueError(f"'{suffix}' is no kind of table; take .csv, .tsv, .json, .jsonl or .yaml")
    found = json.load(file) if suffix == ".json" else YAML(typ="safe", pure=True).load(file)
    if not isinstance(found, list):
        raise ValueError("no list of rows")
    return found


class _AsItStands(str):
    """What is in the grammar of overrides already."""


def _overrides(path: Path, number: int, row: Any) -> list[str]:
    if not isinstance(row, dict) or any(not isinstance(name, str) or not name for name in row):
        cells = " (or it has more cells than the header)" if path.suffix.lower() in SEPARATORS else ""
        raise BadInput(f"{path}: row {number} is no mapping from names to values{cells}")
    return [f"{name.strip()}={literal(value)}" for name, value in row.items()]


def literal(value: Any) -> str:
    """A value of JSON or YAML in the grammar of overrides."""
    if isinstance(value, _AsItStands):
        return value
    if isinstance(value, str):
        text = value.replace("${", "\\${")  # else it would be looked up
        return "'" + QUOTED.sub(lambda found: found[1] * 2 + ("\\'" if found[2] else ""), text) + "'"
    if isinstance(value, float) and not math.isfinite(value):
        return "nan" if value != value else "inf" if value > 0 else "-inf"
    if value is not None and not isinstance(value, bool | int | float | dict | list):  # a date of YAML
        return literal(str(value))
    if isinstance(value, dict):
        return "{" + ",".join(f"{name}:{literal(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{','.join(map(literal, value))}]"
    return json.dumps(value)


def varied(found: Sequence[ParameterSet]) -> list[str]:
    """The names whose values are not the same in all sets; all names, if there is one set."""
    names = dict.fromkeys(name for one in found for name in one.values)
    several = [name for name in names if len({one.values.get(name) for one in found}) > 1]
    return several if len(found) > 1 else list(names)
