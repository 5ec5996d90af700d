"""Memory of this machine that stages hold, shared by all flows that run on it: a file for each amount that is held.

The file is locked as long as its holder lives, which a stage's warden is too. What nobody locks any more is removed by
whoever looks next. One look at a time: whoever looks holds the lock of the whole.
"""

import contextlib
import fcntl
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

PREFIX = "memory-"
WHOLE = "memory"  # the lock of whoever looks
FLAGS = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def total_memory() -> int:
    """Bytes of memory that this process may have: all of the machine's, or less if its control group says so."""
    return min([psutil.virtual_memory().total, *_limits()])


def _limits() -> Iterator[int]:
    """What control groups allow this process, of either version, those above its own among them."""
    with contextlib.suppress(OSError):
        for line in OWN_CGROUPS.read_text().splitlines():
            _, controllers, place = line.split(":", 2)
            if controllers not in ("", "memory"):
                continue
            name = "memory.limit_in_bytes" if controllers else "memory.max"
            top = CGROUPS / controllers
            own = top / place.lstrip("/")
            for folder in (own, *own.parents):
                with contextlib.suppress(OSError, ValueError):
                    yield int((folder / name).read_text())
                if folder == top:
                    break


def open_for_all(path: Path) -> int:
    """Open a file that all users of this machine may write, made if it is not there."""
    try:
        return os.open(path, FLAGS)  # not with O_CREAT: a sticky folder would refuse another user's file
    except FileNotFoundError:
        return made_for_all(path)


def made_for_all(path: Path, more: int = 0) -> int:
    """Make and open such a file; `more` are flags beside those of any."""
    descriptor = os.open(path, FLAGS | os.O_CREAT | more, 0o666)
    with contextlib.suppress(PermissionError):
        os.fchmod(descriptor, 0o666)
    return descriptor


class Memory:
    """Memory to hold, `total` bytes of it, with the files of its holders in `folder`."""

    def __init__(self, folder: Path, total: int) -> None:
        self.total, self._folder = total, folder

    def acquire(self, size: int) -> int | None:
        """A locked descriptor that stands for so many bytes, at most the total; None if there are not as many now."""
        size = min(size, self.total)
        with self._alone():
            if sum(held for _, held in self._held()) + size > self.total:
                return None
            path = self._folder / f"{PREFIX}{uuid.uuid4().hex}-{size}"
            descriptor = made_for_all(path, os.O_EXCL)
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor

    def holders(self) -> list[tuple[Path, int]]:
        """The files that somebody locks, and how many bytes each stands for; others are removed."""
        with self._alone():
            return self._held()

    def _held(self) -> list[tuple[Path, int]]:
        found = []
        for path in sorted(self._folder.glob(f"{PREFIX}*")):
            size = path.name.rpartition("-")[2]
            try:
                descriptor = os.open(path, FLAGS)
            except OSError:  # it has just been removed, or is nobody's file
                continue
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                found.append((path, int(size) if size.isdigit() else 0))
            else:
                with contextlib.suppress(OSError):  # another user's, in a sticky folder
                    path.unlink()
            finally:
                os.close(descriptor)
        return found

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        descriptor = open_for_all(self._folder / WHOLE)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)
