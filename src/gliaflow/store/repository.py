"""DVC repositories, opened: quietly, with the working directory in them, and with what comes from a remote hashed."""

import logging
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo

from gliaflow.errors import UserError, one_line
from gliaflow.store.records import verify


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """The repository that `root` lies in; the working directory is there, since DVC takes paths from there."""
    try:
        with chdir(root), dvc_silent(), Repo() as repo:
            verify(repo)
            yield repo
    except DvcException as error:
        raise UserError(one_line(error)) from error


@contextmanager
def dvc_silent() -> Iterator[None]:
    """Keep DVC from logging: the flow does the talking."""
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
