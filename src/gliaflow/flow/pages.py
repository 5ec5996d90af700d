"""Prefect's pages, with the runs that journals keep: on the configured server, or on the one of this machine."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gliaflow.export.client import Client
from gliaflow.export.configured import THIS_MACHINE, Server, configured
from gliaflow.flow.backdate import Times, backdate
from gliaflow.flow.bring_in import Importer
from gliaflow.flow.server import shared


@dataclass(frozen=True)
class Pages:
    """Where a browser finds them."""

    url: str
    """The address."""
    ours: bool
    """Whether the server is one of this machine's, which ends when nobody uses it."""
    look: Callable[[], int]
    """Tell the server of all that is new; how many runs were completed by that. Raises `Unreachable`."""


@contextmanager
def pages(home: Path) -> Iterator[Pages]:
    """Keep Prefect's pages available inside the block, with the runs whose repositories are noted below `home`.

    Raises:
        TimeoutError: the server of this machine did not start; the message names its log.
        Unreachable: the configured server can never be reached as things are set.
    """
    if server := configured():
        with _importer(server, server.url, home, meant=True) as importer:
            yield Pages(server.pages, ours=False, look=lambda: _completed(importer.look()))
        return
    with shared(home) as url, _importer(Server(url), THIS_MACHINE, home, meant=False) as importer:
        waiting: list[Times] = []

        def look() -> int:
            try:
                waiting.extend(found := list(importer.look()))
                return _completed(found)
            finally:
                if backdate(home, waiting):
                    waiting.clear()

        yield Pages(url.removesuffix("/api"), ours=True, look=look)


def _completed(runs: Iterable[Times]) -> int:
    return sum(one.ended is not None for one in runs)


@contextmanager
def _importer(server: Server, key: str, home: Path, meant: bool) -> Iterator[Importer]:
    with Client(server) as client:
        importer = Importer(client, key, home, meant)
        try:
            yield importer
        finally:
            importer.close()
