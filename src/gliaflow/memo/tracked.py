"""Which paths git tracks: its index is read once, and again when it has changed, and not for each output."""

import os
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dvc.scm import Git

from gliaflow.memo.stamps import stamp


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
