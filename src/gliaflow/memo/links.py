"""Which links two file systems can make, and which files need none.

DVC tries for each file that it puts in place what links there can be, by writing some. An output that is one file it
copies into the cache, and back from there; of a folder it leaves each file that is like such a copy as it is.
"""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import dvc_data.hashfile.checkout
from dvc.fs import LocalFileSystem
from dvc_objects.fs import system
from dvc_objects.fs.utils import umask

NEVER = (errno.ENOTSUP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV)  # what a file system answers that shares no blocks


@contextmanager
def links_known() -> Iterator[None]:
    """Inside the block DVC tries once for two file systems what it would try for each file, and copies no copy back."""
    module: Any = dvc_data.hashfile.checkout
    find = module._determine_files_to_relink
    test_links, reflink = module.test_links, cast(Any, system).reflink
    tested: dict[tuple[object, ...], list[Any]] = {}
    refused: dict[tuple[int, int], OSError] = {}

    def test(links: list[str], from_fs: Any, from_path: str, to_fs: Any, to_path: str) -> list[Any]:
        parent = Path(to_path).parent
        if not (isinstance(from_fs, LocalFileSystem) and isinstance(to_fs, LocalFileSystem) and parent.is_dir()):
            return list(test_links(links, from_fs, from_path, to_fs, to_path))
        key = (*links, from_path, parent.stat().st_dev)
        if key not in tested:
            tested[key] = test_links(links, from_fs, from_path, to_fs, to_path)
        return list(tested[key])

    def link(source: str, target: str) -> None:
        key = os.stat(source).st_dev, os.stat(os.path.dirname(target) or ".").st_dev  # noqa: PTH116, PTH120 quicker
        if key in refused:
            raise OSError(refused[key].errno, refused[key].strerror)
        try:
            reflink(source, target)
        except OSError as error:
            if error.errno in NEVER:
                refused[key] = error
            raise

    def find_others(diff: Any, path: str, fs: Any, cache: Any) -> None:
        local = isinstance(fs, LocalFileSystem) and isinstance(cache.fs, LocalFileSystem)
        copies = local and _is_copy(path) and test(cache.cache_types, cache.fs, cache.path, fs, path)[:1]
        if copies not in (["reflink"], ["copy"]):
            find(diff, path, fs, cache)

    module.test_links, system.reflink, module._determine_files_to_relink = test, link, find_others
    try:
        yield
    finally:
        module.test_links, system.reflink, module._determine_files_to_relink = test_links, reflink, find


def _is_copy(path: str) -> bool:
    """Whether a path leads to a file like one that DVC has just copied to it."""
    found = os.lstat(path)
    plain = found.st_mode == stat.S_IFREG | 0o666 & ~umask and found.st_nlink == 1
    return plain and found.st_uid == os.geteuid() and not getattr(os, "listxattr", lambda _: ())(path)
