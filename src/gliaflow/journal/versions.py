"""What a run was made with: the state of the code, this Python with its packages, and the lock files at the end."""

import hashlib
import os
import platform
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from gliaflow.core.graph import Graph
from gliaflow.errors import UserError
from gliaflow.machine.git import git

MOST_CHANGED = 100  # paths that are not as committed; the others are counted
INFO = ".dist-info"
LOCK = "dvc.lock"


def code(root: Path) -> dict[str, object]:
    """The paths below the repository of `root` that are not as committed, and how many more; nothing without git."""
    try:
        shown = git(root, "--no-optional-locks", "status", "--porcelain", "-z", "--untracked-files=normal").stdout
    except (UserError, OSError):
        return {}
    changed, entries = list[str](), iter(shown.split("\0"))
    for entry in entries:
        if entry:
            changed.append(entry[3:])
            if "R" in entry[:2] or "C" in entry[:2]:  # the path that it had follows
                next(entries, None)
    return {"changed": changed[:MOST_CHANGED], "more": len(changed[MOST_CHANGED:])}


def environment() -> dict[str, object]:
    """This Python, its system, and the versions of the packages that it finds."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count() or 1,
        "packages": _packages(sys.path),
    }


def _packages(places: Iterable[str]) -> dict[str, str]:
    """Name → version, by the names of folders alone: to read what lies in them takes a hundred times as long."""
    found: dict[str, str] = {}
    for place in places:
        with suppress(OSError):
            for name in sorted(one.name for one in Path(place or ".").iterdir()):
                package, _, version = name.removesuffix(INFO).rpartition("-")
                if name.endswith(INFO) and package:
                    found.setdefault(package.replace("_", "-").lower(), version)
    return dict(sorted(found.items()))


def locks(graph: Graph) -> dict[str, str]:
    """The MD5 of each dvc.lock of the stages, by its path from the working directory; of those that are there."""
    found: dict[str, str] = {}
    for path in sorted({path for stage in graph.stages if (path := lock(stage.address))}):
        with suppress(OSError):
            found[path] = hashlib.md5(Path(path).read_bytes(), usedforsecurity=False).hexdigest()
    return found


def lock(address: str) -> str:
    """The dvc.lock that a stage is in; nothing for a .dvc file, which is in none."""
    file, colon, name = address.rpartition(":")
    if not colon and name.endswith(".dvc"):
        return ""
    return Path(file).with_name(LOCK).as_posix() if file else LOCK
