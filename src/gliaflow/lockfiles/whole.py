"""Files that are written whole or not at all, and what an unfinished run had added to them.

Two runs that end early leave what one after another would not have left: entries of later stages without those before.
The next run puts what was missing in its place. So that it can tell those entries from others, they are noted first.
"""

import json
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

NOTE = "gliaflow-unfinished.json"
Signature = list[int]
Seen = tuple[int, int, int] | None


def signature(path: Path) -> Seen:
    """What changes when anybody writes the file; None if it is not there."""
    with suppress(OSError):
        found = path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


class Files:
    """The files that a run adds to; `folder` is DVC's own for what is temporary."""

    def __init__(self, folder: str | Path) -> None:
        self._folder = Path(folder)
        self._note = self._folder / NOTE
        self._folders: dict[Path, Path] = {}  # of the files, and where they really are
        self._added: dict[str, tuple[list[str], list[Signature]]] = {}
        with suppress(OSError, ValueError, TypeError, AttributeError):  # none, or what makes no sense
            found = json.loads(self._note.read_text())
            self._added = {str(path): (list(names), list(texts)) for path, (names, texts) in found.items()}

    def added(self, path: Path) -> list[str]:
        """What unfinished runs added to the file, if nobody else has written to it since."""
        target = self._target(path)
        names, known = self._added.get(str(target), ([], []))
        return names if names and target.exists() and _moved(target) in known else []

    def write(self, path: Path, text: bytes, added: Iterable[str]) -> None:
        """Put `text` in place of what the file holds; `added` names what is there since this run.

        Raises:
            OSError: it cannot be written, and is as it was.
        """
        target = self._target(path)
        exists = target.exists()
        if exists and not os.access(target, os.W_OK):
            raise PermissionError(f"'{path}' is read-only")
        here = self._folder.stat().st_dev == target.parent.stat().st_dev  # or nothing moves whole between the two
        partial = (self._folder if here else target.parent) / f".{target.name}.partial"
        try:
            partial.unlink(missing_ok=True)
            partial.write_bytes(text)
            if exists:
                shutil.copymode(target, partial)
            known = [_moved(target)] if exists else []
            self._added[str(target)] = (list(added), [*known, _moved(partial)])
            self._keep()
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _target(self, path: Path) -> Path:
        """The file that the path leads to."""
        if path.is_symlink():
            return path.resolve()
        if path.parent not in self._folders:
            self._folders[path.parent] = path.parent.resolve()
        return self._folders[path.parent] / path.name

    def finished(self) -> None:
        """Nothing is missing any more of what the run adds."""
        self._note.unlink(missing_ok=True)

    def _keep(self) -> None:
        """In place, since to replace a file costs milliseconds; half a note is none."""
        with self._note.open("r+b" if self._note.exists() else "wb") as file:
            file.write(json.dumps(self._added).encode())
            file.truncate()


def _moved(path: Path) -> Signature:
    """What of it stays when the file takes the place of another one."""
    found = path.stat()
    return [found.st_mtime_ns, found.st_size]
