"""Which links two file systems can make: DVC tries that for each file that it puts in place, by writing some."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import dvc_data.hashfile.checkout
from dvc.fs import LocalFileSystem
from dvc_objects.fs import system

NEVER = (errno.ENOTSUP, errno.ENOTTY, errno.ENOSYS, errno.EXDEV)  # what a file system answers that shares no blocks


@contextmanager
def links_known() -> Iterator[None]:
    """Inside the block DVC tries once for two file systems what it would try for each file."""
    module: Any = dvc_data.hashfile.checkout
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

    module.test_links, system.reflink = test, link
    try:
        yield
    finally:
        module.test_links, system.reflink = test_links, reflink
