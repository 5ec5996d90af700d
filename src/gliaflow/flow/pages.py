"""Prefect's pages, with the runs that are kept: on the configured server, or on the one of this machine's runs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from prefect.settings import PREFECT_API_URL, PREFECT_HOME, PREFECT_UI_URL

from gliaflow.flow.server import shared


@dataclass(frozen=True)
class Pages:
    """Where a browser finds them."""

    url: str
    """The address."""
    ours: bool
    """Whether the server is one of this machine's, which ends when nobody uses it."""


@contextmanager
def pages() -> Iterator[Pages]:
    """Keep Prefect's pages available inside the block.

    Raises:
        TimeoutError: the server of this machine did not start; the message names its log.
    """
    if configured := PREFECT_API_URL.value():
        yield Pages(PREFECT_UI_URL.value() or configured.removesuffix("/api"), ours=False)
        return
    with shared(PREFECT_HOME.value()) as url:
        yield Pages(url.removesuffix("/api"), ours=True)
