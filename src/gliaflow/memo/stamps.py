"""What changes when something is written: of a file what the system notes of it, of a folder all that of its files."""

import os
from hashlib import blake2b
from pathlib import Path
from stat import S_ISDIR

Stamp = tuple[object, ...]
IGNORE_FILE = ".dvcignore"


def stamp(path: str, top: str | None = None) -> Stamp | None:
    """The stamp of a file or folder; None if it is not there, or is of a kind that no stamp can tell of.

    Files of `.dvcignore` between the folder `top` and the path count, since they say which files DVC takes.
    """
    try:
        found = os.stat(path)  # noqa: PTH116 a Path would take longer to make than this takes
        if not S_ISDIR(found.st_mode):
            return _of(found)
        inside = blake2b(digest_size=16)
        if not _look_through(path, inside):
            return None
    except OSError:
        return None
    return (inside.digest(), *_ignores(path, top))


def _of(found: os.stat_result) -> Stamp:
    return found.st_mtime_ns, found.st_size, found.st_ino, found.st_ctime_ns


def _look_through(folder: str, inside: "blake2b") -> bool:
    """Take in all below a folder; False if it holds a link to a folder, which may lead anywhere."""
    folders = [folder]
    while folders:
        here = folders.pop()
        with os.scandir(here) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        inside.update(os.fsencode(here) + b"\0")
        for entry in found:
            if entry.is_dir():
                if entry.is_symlink():
                    return False
                folders.append(entry.path)
            else:
                one = entry.stat()
                inside.update(os.fsencode(entry.name))
                inside.update(b"\0%d %d %d %d\0" % (one.st_mtime_ns, one.st_size, one.st_ino, one.st_ctime_ns))
    return True


def _ignores(path: str, top: str | None) -> list[Stamp | None]:
    """The stamps of the `.dvcignore` of each folder from `top` down to the path's own."""
    if top is None:
        return []
    above = [one for one in Path(path).parents if str(one).startswith(top)]
    return [stamp(str(one / IGNORE_FILE)) for one in above]
