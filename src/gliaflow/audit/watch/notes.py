"""The notes of one try of a stage: what is to be looked at, and what the processes of the stage noted."""

import os
import shutil
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from gliaflow.audit.declared import Declared
from gliaflow.audit.watch.hook import sitecustomize
from gliaflow.audit.watch.hook.sitecustomize import READ, SETTING, WATCHED, WROTE

HOOK = Path(sitecustomize.__file__).resolve().parent
PYTHONPATH = "PYTHONPATH"


@dataclass(frozen=True)
class Opened:
    """The paths that a try opened, as far as anybody looked, without what the stage declares."""

    read: frozenset[Path] = frozenset()
    written: frozenset[Path] = frozenset()
    processes: int = 0
    """How many processes were looked at."""


class Notes:
    """A folder of a try below `folder`, with what its processes note."""

    def __init__(self, folder: Path, tops: Iterable[str], declared: Declared) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = Path(mkdtemp(dir=folder))
        folders = [path for path in declared.reads if Path(path).is_dir()]
        parts = [tops, {*declared.reads, *declared.writes}, folders, declared.writes]
        text = "\0".join("\n".join(sorted(part)) for part in parts)
        (self.folder / SETTING).write_bytes(os.fsencode(text))

    def environment(self, before: Mapping[str, str]) -> dict[str, str]:
        """The environment in which Python programs note what they open."""
        path = os.pathsep.join(filter(None, [str(HOOK), before.get(PYTHONPATH)]))
        return {**before, PYTHONPATH: path, WATCHED: str(self.folder)}

    def taken(self) -> Opened:
        """What was noted; the folder is removed."""
        files = [path for path in self.folder.iterdir() if path.name.isdecimal()]
        lines = [line for path in files for line in os.fsdecode(path.read_bytes()).split("\0") if line]
        self.close()
        return Opened(_those(READ, lines), _those(WROTE, lines), len(files))

    def close(self) -> None:
        """Remove the folder."""
        with suppress(OSError):
            shutil.rmtree(self.folder)


def _those(how: str, lines: Iterable[str]) -> frozenset[Path]:
    return frozenset(Path(line[1:]) for line in lines if line[0] == how)
