"""Files that are written whole or not at all, and what an unfinished run had added to them.

Two runs that end early leave what one after another would not have left: entries of later stages without those before.
The next run puts what was missing in its place. So that it can tell those entries from others, they are noted first.
"""

import json
import os
import stat
from collections.abc import Iterable, Mapping
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
        self._added: dict[str, tuple[dict[str, None], list[Signature]]] = {}  # by anybody, as the note tells
        self._ours: dict[str, dict[str, None]] = {}  # of that, what this run added
        self._left: Seen = None  # the note's signature as this run left it
        self._read()

    def _read(self) -> None:
        """Take in what the note tells, of earlier runs and of those beside this one."""
        self._added = {}
        with suppress(OSError, UnicodeDecodeError):
            for line in self._note.read_text().splitlines():
                self._take(line)
        for path, names in self._ours.items():
            known = self._added.get(path, ({}, []))[1]
            self._change(path, names, (), known)

    def _take(self, line: str) -> None:
        """Take in a line of the note; one that makes no sense, since its writer was killed, tells nothing."""
        with suppress(ValueError, TypeError, KeyError):
            found = json.loads(line)
            added, gone = [str(name) for name in found["added"]], [str(name) for name in found["gone"]]
            self._change(str(found["path"]), added, gone, [[int(one) for one in those] for those in found["known"]])

    def _change(self, path: str, added: Iterable[str], gone: Iterable[str], known: list[Signature]) -> None:
        names, _ = self._added.get(path, ({}, []))
        names |= dict.fromkeys(added)
        _drop(names, gone)
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

    def finished(self, names: Mapping[Path, Iterable[str]]) -> None:
        """Note these names no more: all that belongs before them is there. What another run has added stays noted.

        Raises:
            OSError: the note cannot be written.
        """
        if signature(self._note) != self._left:
            self._read()
        for path, those in names.items():
            target = str(self._target(path))
            for held in (self._ours.get(target, {}), self._added.get(target, ({}, []))[0]):
                _drop(held, those)
        self._added = {path: found for path, found in self._added.items() if found[0]}
        if self._added:
            self._write_all()
        else:
            self._note.unlink(missing_ok=True)
            self._left = None

    def _keep(self, target: str, added: list[str], gone: list[str], known: list[Signature]) -> None:
        """Note what `write` is about to do: by one more line, or all anew if another run has written to the note."""
        ours = self._left is not None and signature(self._note) == self._left
        if not ours:
            self._read()
        self._change(target, added, gone, known)
        own = self._ours.setdefault(target, {})
        own |= dict.fromkeys(added)
        _drop(own, gone)
        if ours:
            with self._note.open("ab") as file:
                file.write(_line(target, added, gone, known).encode())
            self._left = signature(self._note)
        else:
            self._write_all()

    def _write_all(self) -> None:
        lines = [_line(path, [*names], [], known) for path, (names, known) in self._added.items()]
        self._left = None
        self._note.write_bytes("".join(lines).encode())
        self._left = signature(self._note)


def _drop(names: dict[str, None], gone: Iterable[str]) -> None:
    for name in gone:
        names.pop(name, None)


def _line(path: str, added: list[str], gone: list[str], known: list[Signature]) -> str:
    """A line of the note. It starts with the line break, since the line before it may be half written."""
    return "\n" + json.dumps({"path": path, "added": added, "gone": gone, "known": known})


def _made(path: Path, text: bytes, mode: int | None) -> os.stat_result:
    """Write a new file, of this mode if any; return what the system tells of it."""
    path.unlink(missing_ok=True)  # a killed run may have left one
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
