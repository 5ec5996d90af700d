"""Which paths lie in a repository, or in each other: DVC works that out some sixty times for each stage."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from dvc.output import Output
from dvc_objects.fs.base import FileSystem

MOST = 1 << 16  # pairs of paths


@contextmanager
def paths_known() -> Iterator[None]:
    """Inside the block DVC compares two paths once."""
    systems: Any = FileSystem
    isin, in_repo = systems.__dict__["isin"], Output.is_in_repo
    repositories: dict[tuple[object, ...], Any] = {}

    compared: Any = lru_cache(maxsize=MOST)(isin.__func__)

    def is_in_repo(output: Any) -> Any:
        root = output.repo.root_dir if output.repo else None
        place = type(output.fs), output.def_path, output.fs_path, root
        if place not in repositories:
            repositories[place] = in_repo.fget(output)
        return repositories[place]

    systems.isin, Output.is_in_repo = classmethod(compared), property(is_in_repo)
    try:
        yield
    finally:
        systems.isin, Output.is_in_repo = isin, in_repo
