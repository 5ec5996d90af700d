"""Which links two file systems can make, and which outputs need not be put in place again.

For each file that DVC puts in place, it tries which links there can be, by writing some. It copies an output into the
cache. Then it puts the object of the cache in the place of the output, by a link or a copy. In a folder it leaves a
file as it is that already is such a copy. Of an output that is a single file it makes the copy all the same.
"""

import errno
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import dvc_data.hashfile.checkout
from dvc.fs import LocalFileSystem
from dvc_objects.fs import system
from dvc_objects.fs.utils import umask

NEVER = (errno.ENOTSUP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV)  # what a file system answers that shares no blocks


@contextmanager
def links_known() -> Iterator[None]:
    """Inside the block DVC tries links once for two file systems, and leaves a single file that is a copy as it is."""
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

    def find_what_is_no_copy(diff: Any, path: str, fs: Any, cache: Any) -> None:
        local = isinstance(fs, LocalFileSystem) and isinstance(cache.fs, LocalFileSystem)
        kind = ""
        if local and cache.cache_types[0] == "reflink":  # where it is "copy", DVC itself copies nothing
            kind = next(iter(test(cache.cache_types, cache.fs, cache.path, fs, path)), "")
        cached = all(one.new.in_cache for one in diff.unchanged)  # DVC does not fail if it could not copy it there
        if kind not in ("reflink", "copy") or not cached or not _is_like_a_copy(path):
            find(diff, path, fs, cache)

    module.test_links, system.reflink, module._determine_files_to_relink = test, link, find_what_is_no_copy
    try:
        yield
    finally:
        module.test_links, system.reflink, module._determine_files_to_relink = test_links, reflink, find


def _is_like_a_copy(path: str) -> bool:
    """Whether a path leads to a file like one that DVC has just copied to it."""
    try:
        found, folder = os.lstat(path), Path(path).parent.stat()
    except OSError:
        return False
    inherits = folder.st_mode & stat.S_ISGID or sys.platform == "darwin"
    owners = os.geteuid(), folder.st_gid if inherits else os.getegid()
    plain = found.st_mode == stat.S_IFREG | 0o666 & ~umask and found.st_nlink == 1
    return plain and (found.st_uid, found.st_gid) == owners and not _attributes(path)


def _attributes(path: str) -> list[str]:
    """The extended attributes of a file; none where its file system or Python knows none."""
    listed = getattr(os, "listxattr", None)
    with suppress(OSError):
        return list(listed(path)) if listed else []
    return []
