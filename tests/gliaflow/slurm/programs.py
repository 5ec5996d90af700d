"""Programs called as Slurm's are, which a test puts on the PATH and asks what they were called with."""

from pathlib import Path

import pytest


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
