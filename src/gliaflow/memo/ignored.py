"""What `.dvcignore` says and what git tracks, read once, and again when it has changed."""

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dvc.ignore import DvcIgnore, DvcIgnoreFilter
from dvc.repo import Repo
from dvc.scm import Git

from gliaflow.memo.stamps import Stamp, stamp

MOST = 200  # folders that are looked at again; of more, all is read anew
PLAIN = 2  # links that most file systems count of a folder without folders; each of these is one more


@contextmanager
def ignores_kept(repo: Any) -> Iterator[None]:
    """Inside the block `look_again` keeps what DVC knows of ignored paths, where nothing has changed."""
    repo.__dict__["dvcignore"] = _Kept(repo.fs, repo.root_dir)
    try:
        yield
    finally:
        repo.__dict__.pop("dvcignore", None)


def look_again(repo: Any) -> None:
    """Have DVC read `.dvcignore` anew, if any was written or removed, or a repository came or went below.

    DVC itself forgets what it knows when it runs an import. What it has read since notes nothing, so it is not kept.
    """
    known = repo.__dict__.get("dvcignore")
    if not isinstance(known, _Kept) or known.moved():
        repo.__dict__["dvcignore"] = _Kept(repo.fs, repo.root_dir)


class _Kept(DvcIgnoreFilter):  # type: ignore[misc]
    """DVC's filter, which notes what it has looked at."""

    def __init__(self, fs: Any, root_dir: str) -> None:
        self._files: dict[str, Stamp | None] = {}
        self._repositories: dict[str, bool] = {}  # folders where one would be, and whether it is there
        self._inside: dict[str, _Inside] = {}
        self._known: dict[tuple[str, bool, bool], bool] = {}
        super().__init__(fs, root_dir)

    def moved(self) -> bool:
        """Whether it might be another one if it were made now."""
        return (
            len(self._files) > MOST
            or any(stamp(path) != before for path, before in self._files.items())
            or any(os.path.exists(path) != before for path, before in self._repositories.items())  # noqa: PTH110 quicker
            or any(inside.moved() for inside in self._inside.values())
        )

    def _is_ignored(self, path: str, is_dir: bool = False, ignore_subrepos: bool = True) -> bool:
        place = path, is_dir, ignore_subrepos
        if place not in self._known:
            self._known[place] = bool(super()._is_ignored(*place))
        return self._known[place]

    def _update_trie(self, dirname: str, trie: Any) -> None:
        path = f"{dirname}{os.sep}{DvcIgnore.DVCIGNORE_FILE}"
        self._files.setdefault(path, stamp(path))
        super()._update_trie(dirname, trie)

    def _update(self, dirname: str, ignore_trie: Any, dnames: list[str] | None, ignore_subrepos: bool) -> None:
        if ignore_subrepos and len(self._inside) <= MOST:
            self._inside.setdefault(dirname, _Inside(dirname))
        super()._update(dirname, ignore_trie, dnames, ignore_subrepos)

    def _update_sub_repo(self, path: str, ignore_trie: Any) -> None:
        place = f"{path}{os.sep}{Repo.DVC_DIR}"
        self._repositories.setdefault(place, os.path.exists(place))  # noqa: PTH110 quicker
        super()._update_sub_repo(path, ignore_trie)


class _Inside:
    """The folders in a folder."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._links, self._changed, self._names = self._look()

    def moved(self) -> bool:
        """Whether there are others now."""
        try:
            now = os.stat(self._path)  # noqa: PTH116 quicker
            if now.st_mtime_ns == self._changed:
                return False
            if now.st_nlink == self._links == PLAIN + len(self._names) and all(
                os.path.isdir(f"{self._path}{os.sep}{name}")  # noqa: PTH112 quicker
                for name in self._names
            ):
                self._changed = now.st_mtime_ns  # as many, and these: there can be no others
                return False
        except OSError:
            pass
        before, (self._links, self._changed, self._names) = self._names, self._look()
        return self._names != before

    def _look(self) -> tuple[int, int, frozenset[str]]:
        try:
            found = os.stat(self._path)  # noqa: PTH116 quicker
            with os.scandir(self._path) as entries:
                names = frozenset(entry.name for entry in entries if entry.is_dir())
        except OSError:
            return 0, 0, frozenset()
        return found.st_nlink, found.st_mtime_ns, names


@contextmanager
def index_read_once(scm: Any) -> Iterator[None]:
    """Inside the block `scm`, that of a DVC repository, reads git's index when that has changed."""
    if not isinstance(scm, Git):
        yield
        return
    index = _Index(scm)
    scm.is_tracked = index.has
    try:
        yield
    finally:
        del scm.is_tracked


class _Index:
    """The paths in git's index."""

    def __init__(self, scm: Any) -> None:
        self._top = str(scm.root_dir)
        self._repo = scm.dulwich.repo
        self._path = self._repo.index_path()
        self._stamp: object = ...  # unlike any
        self._paths: list[bytes] = []

    def has(self, path: str) -> bool:
        """Whether git tracks the path, or something below it, as DVC's `is_tracked` tells."""
        now = stamp(self._path)
        if now != self._stamp:
            self._stamp, self._paths = now, sorted(self._repo.open_index())
        name = os.path.relpath(path, self._top).replace(os.path.sep, "/").encode()
        return self._next(name) == name or self._next(name + b"/").startswith(name + b"/")

    def _next(self, name: bytes) -> bytes:
        """The first path that does not stand before this one."""
        place = bisect_left(self._paths, name)
        return self._paths[place] if place < len(self._paths) else b""
