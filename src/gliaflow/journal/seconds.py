"""How long stages took when they ran last, kept beside the journals."""

import json
import math
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

NAME = "seconds.json"


def last(where: Path) -> dict[str, float]:
    """Seconds by stage; nothing of a stage that has not run here."""
    try:
        found = json.loads((where / NAME).read_text())
    except (OSError, ValueError):
        return {}
    numbers = found.items() if isinstance(found, dict) else ()
    return {name: float(one) for name, one in numbers if isinstance(one, int | float) and math.isfinite(one)}


def merge(where: Path, seconds: Mapping[str, float]) -> None:
    """Note the seconds of stages that ran; those of others stay. What cannot be written is left out."""
    if seconds:
        with suppress(OSError):
            partial = where / f"{NAME}.{os.getpid()}.partial"
            partial.write_text(json.dumps(last(where) | dict(seconds)))
            partial.replace(where / NAME)
