"""Sweeps and searches may work beside each other; `gc` may not work beside any of them."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gliaflow.errors import GOES_ON, UserError

FILE = "guard"  # beside the workspaces


@contextmanager
def making(folder: Path) -> Iterator[None]:
    """Make experiments inside the block; an interrupt, wherever it comes, says that the same command goes on.

    Raises:
        UserError: somebody cleans up.
    """
    with _locked(folder, fcntl.LOCK_SH, "gliaflow gc works in this repository; try again when it has ended"):
        try:
            yield
        except KeyboardInterrupt as error:
            error.add_note(GOES_ON)
            raise


@contextmanager
def cleaning(folder: Path) -> Iterator[None]:
    """Clean up inside the block.

    Raises:
        UserError: somebody makes experiments.
    """
    with _locked(folder, fcntl.LOCK_EX, "a sweep or a search runs in this repository; try again when it has ended"):
        yield


@contextmanager
def _locked(folder: Path, how: int, busy: str) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("ab") as file:
        try:
            fcntl.flock(file, how | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(busy) from None
        yield
