"""Load one section of `params.yaml` into the frozen dataclass of the stage that owns it."""

import json
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from stages.errors import BadParameters

PARAMS_FILE = Path("params.yaml")
STRICT_KEYS = ConfigDict(extra="forbid", allow_inf_nan=False)
"""The config of every parameter class: a misspelt key is an error, not a default, and a number is finite."""

T = TypeVar("T")


def load(cls: type[T], section: str, path: Path = PARAMS_FILE) -> T:
    """Read `section` ("lgg.train") of `path` as a `cls`.

    Raises:
        BadParameters: no such file or section, not YAML, or values that `cls` does not take;
            every bad value is named by its full key.
    """
    return parse(cls, section, _document(path), str(path))


def parse(cls: type[T], section: str, document: Any, where: str = str(PARAMS_FILE)) -> T:
    """`section` of the content of a file as a `cls`; errors name the file as `where`.

    Raises:
        BadParameters: no such section, or values that `cls` does not take.
    """
    values = document
    for depth, key in enumerate(keys := section.split(".")):
        if not isinstance(values, dict) or key not in values:
            missing = ".".join(keys[: depth + 1])
            raise BadParameters(f"{where}: there is no section {missing}; compare with profiles/blog.yaml")
        values = values[key]
    try:
        # As JSON, where strict means that 3 is not "3" nor true, but a mapping may still become a dataclass.
        return TypeAdapter(cls).validate_json(json.dumps(values, default=str), strict=True)
    except TypeError as error:  # a key that is no text, such as a date
        raise BadParameters(f"{where}: {section}: {error}") from None
    except ValidationError as error:
        lines = [_line(section, detail) for detail in error.errors(include_url=False)]
        raise BadParameters(f"{where}: " + "; ".join(lines)) from None


def _document(path: Path) -> Any:
    try:
        # DVC's own parser: YAML 1.2, in which 1e-4 is a number and a key stands once.
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadParameters(f"{path}: no such file; run from the repository's root") from None
    except (YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise BadParameters(f"{path}: not valid YAML ({reason})") from None


def _line(section: str, detail: Any) -> str:
    key = ".".join([section, *(str(part) for part in detail["loc"])])
    if detail["type"] == "missing":
        return f"{key} is missing"
    if detail["type"] in {"unexpected_keyword_argument", "extra_forbidden"}:
        return f"{key} is not a known parameter"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key} is {detail['input']!r}: {message[0].lower()}{message[1:]}"
