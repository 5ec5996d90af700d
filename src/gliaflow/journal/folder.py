"""Where journals lie: of a repository below `.dvc/tmp`, and the repositories of this machine that have some."""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from gliaflow.journal.lock import held

SUFFIX = ".jsonl"
BELOW = Path(".dvc/tmp/gliaflow/runs")
MOST_RUNS = 200
MOST_DAYS = 30
MOST_BYTES = 1 << 30  # of all journals of a repository


def folder(root: Path) -> Path | None:
    """The folder of the journals of the DVC repository that `root` lies in; None if it lies in none."""
    here = top(root)
    return here / BELOW if here else None


def top(root: Path) -> Path | None:
    """The top of the DVC repository that `root` lies in; None if it lies in none."""
    root = root.absolute()
    return next((one for one in (root, *root.parents) if (one / ".dvc").is_dir()), None)


def journals(where: Path) -> list[Path]:
    """The journals in a folder, the oldest first: their names begin with the second, in which there may be several."""
    return sorted(where.glob(f"*{SUFFIX}"), key=_age)


def _age(path: Path) -> tuple[str, int]:
    """What journals are ordered by: the second in which the run began, and when it told last."""
    told = 0
    with suppress(OSError):
        told = path.stat().st_mtime_ns
    return path.name[: len("20261231-235959")], told


def prune(where: Path) -> None:
    """Remove journals of ended runs that are too old or too many, and what was noted about them."""
    left, oldest = MOST_BYTES, time.time() - MOST_DAYS * 24 * 3600
    for place, path in enumerate(reversed(journals(where))):
        with suppress(OSError):
            found = path.stat()
            left -= found.st_size
            if (place >= MOST_RUNS or left < 0 or found.st_mtime < oldest) and not held(path):
                for one in where.glob(f"{path.stem}.*"):
                    one.unlink(missing_ok=True)


def home(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of this user in which Prefect, and gliaflow below it, keep what belongs to no repository."""
    return Path(environment.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()


def remember(where: Path, kept: Path) -> None:
    """Note below `kept` that there are journals in `where`."""
    names = kept / "gliaflow/repositories"
    names.mkdir(parents=True, exist_ok=True)
    name = names / hashlib.sha256(os.fsencode(where)).hexdigest()[:16]
    if not name.exists():
        partial = name.with_name(f"{name.name}.{os.getpid()}.partial")
        partial.write_bytes(os.fsencode(where))
        partial.replace(name)


def remembered(kept: Path) -> Iterator[Path]:
    """The folders of journals that are noted below `kept`, and are there."""
    for name in sorted((kept / "gliaflow/repositories").glob("?" * 16)):
        with suppress(OSError):
            where = Path(os.fsdecode(name.read_bytes()))
            if where.is_dir():
                yield where
