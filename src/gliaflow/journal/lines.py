"""A file of lines of JSON, to which several processes append; what a kill or a full disk cut off is left out."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any


class Lines:
    """The file `path`; its folder is made if it is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self, holding: str = "") -> Iterator[Any]:
        """What its lines say, the first one first; with `holding`, those alone in which this text stands."""
        text = self._path.read_text(encoding="utf-8") if self._path.exists() else ""
        for line in text.splitlines():
            if holding in line:
                try:
                    found = json.loads(line)
                except ValueError:  # it was cut off
                    continue
                yield found

    def append(self, what: Mapping[str, Any]) -> None:
        """Add a line."""
        line = json.dumps(what).encode() + b"\n"
        with self._path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if file.seek(0, os.SEEK_END):
                file.seek(-1, os.SEEK_END)
                line = line if file.read(1) == b"\n" else b"\n" + line  # a piece of a line stays by itself
            file.write(line)
