"""Where TensorBoard finds a training: in a folder named by the stage and by what differs from the last commit."""

import hashlib
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

RUNS = Path("runs")
COMMITTED = "as committed"
LONGEST = 100  # characters of a folder's name
ODD = re.compile(r"[^\w.,=@+ -]")  # that a path should not hold


def board(stage: str, section: str, params: Path = Path("params.yaml")) -> Path:
    """The folder of a training's curves: `runs/lgg-train/train.epochs=20`, or `runs/lgg-train/as committed`.

    What differs is looked for in `section` ("lgg") of `params`, against the same file in the last commit. Where git
    cannot tell, a hash of the section stands for it.
    """
    values = _section(params.read_text(encoding="utf-8"), section)
    before = _committed(params)
    if before is None:
        return RUNS / stage / hashlib.sha256(repr(values).encode()).hexdigest()[:8]
    return RUNS / stage / name(_section(before, section), values)


def name(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What differs between two sections of parameters, as the name of a folder."""
    text = ODD.sub("_", ",".join(f"{key}={value}" for key, value in _differences("", before, now))) or COMMITTED
    if len(text) <= LONGEST:
        return text
    return f"{text[: LONGEST - 9]}~{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _differences(prefix: str, before: Any, now: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        for key in [*now, *(key for key in before if key not in now)]:
            yield from _differences(f"{prefix}.{key}" if prefix else str(key), before.get(key), now.get(key))
    elif before != now:
        yield prefix, now


def _section(text: str, section: str) -> Mapping[str, Any]:
    try:
        found = YAML(typ="safe", pure=True).load(text)
    except YAMLError:  # whoever loads the parameters tells what is wrong
        found = None
    values = found.get(section) if isinstance(found, Mapping) else None
    return values if isinstance(values, Mapping) else {}


def _committed(params: Path) -> str | None:
    line = ["git", "show", f"HEAD:./{params.name}"]
    try:
        shown = subprocess.run(line, cwd=params.resolve().parent, capture_output=True, text=True, check=False)
    except FileNotFoundError:  # there is no git
        return None
    return None if shown.returncode else shown.stdout
