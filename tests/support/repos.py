"""Small DVC repositories, and what must be the same in two of them."""

import atexit
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import psutil
from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from ruamel.yaml import YAML

import gliaflow
from gliaflow import as_dvc
from tests.support.forks import Forks
from tests.support.patience import COMMAND_SECONDS, PATIENCE

ROOT = Path(__file__).parents[2]
GLIAFLOW = (sys.executable, "-m", "gliaflow")
SOURCE = Path(gliaflow.__file__).parents[1]  # where it is imported from: this checkout, or what is installed

GIT = {f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
GIT["GIT_CONFIG_GLOBAL"] = os.devnull
"""The environment in which git knows a name, and reads no settings of the user."""


@cache
def _empty() -> Path:
    """A repository that nobody has used, to be copied: git and DVC take longer to make one."""
    folder = TemporaryDirectory(prefix="empty-repository-")
    atexit.register(folder.cleanup)
    root = Path(folder.name).resolve()
    line = ["git", "init", "-q", "--initial-branch=master"]
    subprocess.run(line, cwd=root, check=True)
    with Repo.init(str(root)):
        return root


class Project:
    """A git and DVC repository with caches of its own."""

    forks: Forks | None = None
    """What runs its commands sooner, set by the fixture of that name."""

    def __init__(self, root: Path, environment: dict[str, str]) -> None:
        self.root, self.environment = root, environment
        shutil.copytree(_empty(), root, symlinks=True)
        site = root.parent / f"{root.name}-site"
        (root / ".dvc/config").write_text(f"[core]\n    analytics = false\n    site_cache_dir = {site}\n")

    def write(self, files: dict[str, str]) -> None:
        """Write files, given as path → text."""
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def pipeline(self, stages: dict[str, Any], name: str = "dvc.yaml", **sections: Any) -> None:
        """Write a dvc.yaml."""
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        with (self.root / name).open("w") as file:
            YAML(typ="safe", pure=True).dump({**sections, "stages": stages}, file)

    def run(self, *line: str, expect: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """Run a command in the repository; `expect` is the exit code it must have, None for any."""
        if self.forks and self.forks.runs(line, self.environment):
            ended = self.forks.run(line, self.root, self.environment, COMMAND_SECONDS)
        else:
            ended = subprocess.run(
                line,
                cwd=self.root,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=COMMAND_SECONDS,
                check=False,
            )
        assert expect in (None, ended.returncode), f"{line}: exit {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
        return ended

    def gliaflow(self, *arguments: str, expect: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """The command `gliaflow`."""
        return self.run(*GLIAFLOW, *arguments, expect=expect)

    def flow(self, *arguments: str, expect: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """`gliaflow repro`, kept by Prefect where the project has a server."""
        kept = [] if "PREFECT_API_URL" in self.environment else ["--no-prefect"]
        return self.gliaflow("repro", *kept, *arguments, expect=expect)

    def dvc(self, *arguments: str, expect: int | None = 0) -> "subprocess.CompletedProcess[str]":
        """`dvc`."""
        return self.run(sys.executable, "-m", "dvc", *arguments, expect=expect)

    def commit(self) -> None:
        """Commit all."""
        self.run("git", "add", "-A")
        self.run("git", "commit", "-qm", "A state to test from", "--allow-empty")

    def copy(self, root: Path) -> "Project":
        """The same repository, caches included, somewhere else."""
        shutil.copytree(self.root, root, symlinks=True)
        shutil.rmtree(root / ".dvc/tmp", ignore_errors=True)
        made = object.__new__(Project)
        made.root, made.environment = root, self.environment
        config = (root / ".dvc/config").read_text()
        (root / ".dvc/config").write_text(config.replace(f"{self.root.name}-site", f"{root.name}-site"))
        return made

    def left(self) -> dict[str, bytes]:
        """What must be the same, byte for byte: lock files, .gitignore and .dvc files, the run-cache."""
        files = [
            *self.root.rglob("dvc.lock"),
            *(path for path in self.root.rglob(".gitignore") if ".dvc" not in path.parts),
            *self.root.rglob("*.dvc"),
            *(path for path in (self.root / ".dvc/cache/runs").rglob("*") if path.is_file()),
        ]
        return {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.is_file()}

    def clean(self) -> None:
        """DVC finds nothing to do, and nothing held."""
        assert self.dvc("status").stdout == "Data and pipelines are up to date.\n"
        assert "Running stage" not in self.dvc("repro").stdout


def alive(process: psutil.Process) -> bool:
    """Whether it runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def environment(home: Path, api: str | None = None) -> dict[str, str]:
    """That of a user who activated the environment, whose Prefect and machine slots are the test's."""
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR", "PATH") if name in os.environ}
    own = {"PREFECT_HOME": str(home), "GLIAFLOW_SLOTS": str(home / "slots")}
    own |= {"PREFECT_API_URL": api} if api else {}
    quiet = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
    path = {"PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]])}
    path |= {"PYTHONPATH": str(SOURCE)} if SOURCE.name == "src" else {}  # what is installed is found without
    return {**kept, **GIT, **own, **quiet, **path}


def copies(source: str, target: str, **more: Any) -> dict[str, Any]:
    """A stage that copies a file."""
    return {"cmd": f"cp {source} {target}", "deps": [source], "outs": [target], **more}


def stock(root: Path, targets: list[str] | None = None, **flags: Any) -> list[str] | str:
    """What `dvc repro` returns, or that it failed."""
    before = Path.cwd()
    os.chdir(root)
    try:
        with Repo() as repo:
            return [stage.addressing for stage in repo.reproduce(targets, **flags)]
    except ReproductionError as error:
        return str(error)
    finally:
        os.chdir(before)


def reproduce(root: Path, targets: list[str] | str | None = None, **flags: Any) -> list[str]:
    """As the engine does for callers of DVC; Prefect keeps the run where a server is set, as by the fixture `api`."""
    settings = sys.modules.get("prefect.settings")  # where nobody has imported it, nobody has set a server
    return as_dvc.reproduce(root, targets, **{"prefect": bool(settings and settings.PREFECT_API_URL.value()), **flags})


def ours(root: Path, targets: list[str] | None = None, **flags: Any) -> list[str] | str:
    """What the engine returns, or that it failed."""
    try:
        return reproduce(root, targets, jobs=3, **flags)
    except ReproductionError as error:
        return str(error)


def soon(condition: Callable[[], Any], seconds: float = PATIENCE, pause: float = 0.2) -> Any:
    """What `condition` returns, once that is something."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(pause)
    return found
