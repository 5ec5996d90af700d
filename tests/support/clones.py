"""Clones of this repository, to run real `dvc` in."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import GIT

ROOT = Path(__file__).parents[2]


class Clone:
    """A checkout of the working tree, committed, with DVC's caches of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        listed = subprocess.run(
            ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        for name in listed.stdout.decode().split("\0"):
            if name and (ROOT / name).is_file():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, root / name)
        self.run("git", "init", "-q")
        self.run("dvc", "config", "--local", "core.site_cache_dir", str(root.parent / f"{root.name}-site"))
        self.commit()

    @property
    def environment(self) -> dict[str, str]:
        """That of a user who activated the environment, and nothing of the tests'."""
        kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ}
        paths = [str(Path(sys.executable).parent), os.environ["PATH"]]
        return {**kept, **GIT, "PATH": os.pathsep.join(paths), "DVC_NO_ANALYTICS": "1"}

    def run(self, *line: str, expect: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Run a command in the clone; `expect` is the exit code it must have, None for any."""
        with subprocess.Popen(
            line,
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=COMMAND_SECONDS)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)  # its stages too
                if isinstance(error, subprocess.TimeoutExpired):
                    error.add_note((error.output or b"").decode()[-3000:])  # where it was
                raise
        ended = subprocess.CompletedProcess(line, process.returncode, output, errors)
        assert expect in (None, ended.returncode), f"{line}: exit {ended.returncode}\n{output}\n{errors}"
        return ended

    def commit(self) -> None:
        """Commit all."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "A state to test from", "--allow-empty")

    def repro(self, *arguments: str) -> list[str]:
        """`dvc repro`; the stages whose commands it ran."""
        shown = self.run("dvc", "repro", *arguments).stdout
        return [line.split("'")[1] for line in shown.splitlines() if line.startswith("Running stage '")]

    def set(self, **values: Any) -> None:
        """Change parameters, `lgg__train__epochs=2` for lgg.train.epochs."""
        parser = YAML()
        path = self.root / "params.yaml"
        document = parser.load(path)
        for name, value in values.items():
            *sections, key = name.split("__")
            section = document
            for part in sections:
                section = section[part]
            section[key] = value
        parser.dump(document, path)

    def lock(self) -> Any:
        """The stages of dvc.lock."""
        return read_lock(self.root)


def read_lock(root: Path) -> Any:
    """The stages of the dvc.lock in `root`."""
    return YAML(typ="safe", pure=True).load(root / "dvc.lock")["stages"]
