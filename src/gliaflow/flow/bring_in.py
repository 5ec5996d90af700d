"""Brings the journals of this machine's runs in to a Prefect server, and follows those of runs that go on."""

from collections.abc import Iterator
from pathlib import Path

from gliaflow.export.client import Client
from gliaflow.export.exporter import Busy, Exporter
from gliaflow.flow.backdate import Times
from gliaflow.journal.folder import journals, remembered


class Importer:
    """All journals that are noted below `home`, on their way to one server, which marks call `key`.

    With `meant` it takes only those whose runs were to be told to that server.
    """

    def __init__(self, client: Client, key: str, home: Path, meant: bool = False) -> None:
        self._client, self._key, self._home, self._meant = client, key, home, meant
        self._open: dict[Path, Exporter] = {}
        self._done: set[Path] = set()
        self._begun: set[Path] = set()  # runs that went on when they were brought in
        self._anew = not meant and client.post("/flow_runs/count", {}) == 0  # somebody emptied the database

    def look(self) -> Iterator[Times]:
        """Send all that is new; yields the runs that are complete by now, and those that are new and go on.

        Raises:
            Unreachable: the server did not take it; the next look goes on.
        """
        for path in self._paths():
            exporter = self._exporter(path)
            if exporter is None:
                continue
            if self._meant and not exporter.meant():
                self._close(path)
                continue
            exporter.advance()
            run, done = exporter.mirror, exporter.done
            if done:
                self._close(path)
            if run.flow_run and (done or path not in self._begun):
                self._begun.add(path)
                yield Times(run.flow_run, run.began, run.last if done else None)

    def close(self) -> None:
        """Leave the journals to others."""
        for path in list(self._open):
            self._close(path)

    def _paths(self) -> list[Path]:
        every = (path for where in remembered(self._home) for path in journals(where))
        return sorted(set(every) - self._done, key=lambda path: path.name)

    def _exporter(self, path: Path) -> Exporter | None:
        """The exporter of a journal that is not done; None if there is none, or another process has it."""
        if path not in self._open:
            try:
                made = Exporter(self._client, path, self._key, anew=self._anew).__enter__()
            except (Busy, OSError):
                return None
            self._open[path] = made
            if made.done:
                self._close(path)
                return None
        return self._open[path]

    def _close(self, path: Path) -> None:
        self._open.pop(path).__exit__()
        self._done.add(path)
