"""A file system of its own, that a test can fill."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BLOCK = 1 << 16


@contextmanager
def disk(folder: Path, size: str) -> Iterator[Path]:
    """Make `folder` a file system of this size; only root can, and others skip the test."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)], check=False)
    if mounted.returncode or os.geteuid():
        pytest.skip("a file system of its own takes root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Fill its file system to the last byte, by the file that is returned."""
    file = folder / "filler"
    with file.open("wb", buffering=0) as out:
        size = BLOCK
        while size:
            try:
                out.write(b"x" * size)
            except OSError:
                size //= 2
    return file
