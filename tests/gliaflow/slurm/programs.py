"""Programs called as Slurm's are, which a test puts on the PATH and asks what they were called with."""

from pathlib import Path

import pytest

from gliaflow.core.graph import Stage
from gliaflow.core.ports import Commands, Prepared, Task
from gliaflow.core.report import Outcome
from gliaflow.core.settings import Settings


class Programs:
    """A folder of shell scripts, in front of the PATH."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder / "bin"
        self.folder.mkdir(exist_ok=True)
        monkeypatch.setenv("PATH", str(self.folder), prepend=":")

    def put(self, name: str, script: str) -> None:
        """A program that notes its arguments, and then does what the script says."""
        path = self.folder / name
        path.write_text(f'#!/bin/sh\necho "$@" >> {self.folder}/{name}.calls\n{script}\n')
        path.chmod(0o755)

    def calls(self, name: str) -> list[str]:
        """The arguments of each call so far."""
        path = self.folder / f"{name}.calls"
        return path.read_text().splitlines() if path.exists() else []


def task(root: Path, line: str, key: str = "key", settings: Settings | None = None, **more: object) -> Task:
    """A try of the stage `s`, which runs a line of shell in the folder `root`."""
    commands = Commands([line], [["/bin/sh", "-c", line]], str(root), {"DVC_STAGE": "s"})
    prepared = Prepared(Outcome.RUN, commands=commands, key=key, outs=(str(root / "out"),))
    return Task(Stage("s", (), settings or Settings()), prepared, **more)  # type: ignore[arg-type]
