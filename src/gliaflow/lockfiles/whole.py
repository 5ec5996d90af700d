"""Files that are written whole or not at all, and what an unfinished run had added to them.

Two runs that end early leave what one after another would not have left: entries of later stages without those before.
The next run puts what was missing in its place. So that it can tell those entries from others, they are noted first.
"""

import json
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

NOTE = "gliaflow-unfinished.jsonl"
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
        self._folder, self._note = Path(folder), Path(folder) / NOTE
        self._targets: dict[Path, Path] = {}  # where the files really are
        self._added: dict[str, tuple[dict[str, None], list[Signature]]] = {}
        self._ours = False  # whether the note is of this object
        with suppress(OSError, UnicodeDecodeError):
            for line in self._note.read_text().splitlines():
                self._take(line)

    def _take(self, line: str) -> None:
        """Take in a line of the note; one that makes no sense, since its writer was killed, tells nothing."""
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(line)
            added, gone = [str(name) for name in found["added"]], [str(name) for name in found["gone"]]
            self._change(str(found["path"]), added, gone, [[int(one) for one in those] for those in found["known"]])

    def _change(self, path: str, added: list[str], gone: list[str], known: list[Signature]) -> None:
        names, _ = self._added.get(path, ({}, []))
        names |= dict.fromkeys(added)
        for name in gone:
            names.pop(name, None)
        self._added[path] = names, known

    def added(self, path: Path) -> list[str]:
        """What unfinished runs added to the file, if nobody else has written to it since."""
        target = self._target(path)
        names, known = self._added.get(str(target), ({}, []))
        with suppress(OSError):
            return [*names] if names and _moved(target.stat()) in known else []
        return []

    def write(self, path: Path, text: bytes, added: Iterable[str], gone: Iterable[str] = ()) -> None:
        """Put `text` in place of what the file holds.

        `added` names what is there since this run and has not been named before; `gone` what is there no more.

        Raises:
            OSError: it cannot be written, and is as it was.
        """
        target = self._target(path)
        before = target.stat() if target.exists() else None
        if before and not os.access(target, os.W_OK):
            raise PermissionError(f"'{path}' is read-only")
        partial = self._beside(target)
        try:
            after = _made(partial, text, before and stat.S_IMODE(before.st_mode))
            self._keep(str(target), [*added], [*gone], [_moved(one) for one in (before, after) if one])
            partial.replace(target)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise

    def _target(self, path: Path) -> Path:
        """The file that the path leads to; its folder may not be there yet."""
        if path.is_symlink():
            return path.resolve()
        if path not in self._targets:
            self._targets[path] = path.resolve()
        return self._targets[path]

    def _beside(self, target: Path) -> Path:
        """Where a file is made that moves to `target` as a whole, as none does from one disk to another."""
        here = self._folder.stat().st_dev == target.parent.stat().st_dev
        return (self._folder if here else target.parent) / f".{target.name}.partial"

    def finished(self) -> None:
        """Nothing is missing any more of what the run adds."""
        self._note.unlink(missing_ok=True)
        self._ours = False

    def _keep(self, target: str, added: list[str], gone: list[str], known: list[Signature]) -> None:
        """Note it before it is done: a line, behind those that tell of what earlier runs added."""
        self._change(target, added, gone, known)
        if self._ours:
            lines = [_line(target, added, gone, known)]
        else:
            lines = [_line(path, [*names], [], those) for path, (names, those) in self._added.items()]
        with self._note.open("ab" if self._ours else "wb") as file:
            file.write("".join(lines).encode())
        self._ours = True


def _line(path: str, added: list[str], gone: list[str], known: list[Signature]) -> str:
    """Begins a line, since that before it may be half of one."""
    return "\n" + json.dumps({"path": path, "added": added, "gone": gone, "known": known})


def _made(path: Path, text: bytes, mode: int | None) -> os.stat_result:
    """Write a file anew, of this mode if any; what the system tells of it."""
    path.unlink(missing_ok=True)  # of a run that was killed
    with path.open("wb") as file:
        file.write(text)
        file.flush()
        found = os.fstat(file.fileno())
    if mode is not None and mode != stat.S_IMODE(found.st_mode):
        path.chmod(mode)
    return found


def _moved(found: os.stat_result) -> Signature:
    """What of a file stays when it takes the place of another one."""
    return [found.st_mtime_ns, found.st_size]
