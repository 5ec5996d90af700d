"""What of a journal a server has been told, noted beside the journal, for whoever goes on with it."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mark:
    """How far one server has got with one journal."""

    flow_run: str = ""
    """The id of the flow run there."""
    offset: int = 0
    """Bytes of the journal that it was told."""
    done: bool = False
    """Whether it knows how the run ended."""


def path_of(journal: Path) -> Path:
    """The file of the marks of a journal; it is locked by who sends."""
    return journal.with_suffix(".sent")


def read(journal: Path, server: str) -> Mark:
    """The mark of a server."""
    found = _all(journal).get(server)
    if not isinstance(found, dict):
        return Mark()
    return Mark(str(found.get("flow_run", "")), int(found.get("offset", 0)), bool(found.get("done")))


def write(journal: Path, server: str, mark: Mark) -> None:
    """Note a mark; whoever calls this has locked the file, so it is written in place."""
    marks = _all(journal) | {server: asdict(mark)}
    path_of(journal).write_text(json.dumps(marks))


def _all(journal: Path) -> dict[str, object]:
    try:
        found = json.loads(path_of(journal).read_text())
    except (OSError, ValueError):  # a half of it is as good as none: ids that follow from the run are taken once
        return {}
    return found if isinstance(found, dict) else {}
