"""A workspace in which every stage goes through `dvc repro -s`: slower, but this uses nothing of DVC but its commands.

For a DVC whose internals moved. Stages that are new to dvc.lock are appended in the order in which they end, and what a
command exits with is not known, so that only a death by signal is tried again.
"""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from ruamel.yaml import YAML

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.settings import settings
from gliaflow.core.options import Change, Commands, Flags, NotYet, Outcome
from gliaflow.errors import UserError, one_line

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
PASSED_ON = {"force": "--force", "pull": "--pull", "allow_missing": "--allow-missing", "no_commit": "--no-commit"}
REFUSED = ("recursive", "pipeline", "downstream", "glob", "force_downstream", "dry", "interactive")
NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)
EDGE = re.compile(r'^"([^"]+)" -> "([^"]+)";$', re.MULTILINE)


class Fallback:
    """Stands in for `gliaflow.workspace.workspace.Workspace`."""

    _one_at_a_time = threading.RLock()

    def __init__(self, root: Path | str = ".", flags: Flags | None = None, say: Callable[[str], None] = print) -> None:
        self.flags, self.say, self._root = flags or Flags(), say, Path(root)
        self.changes: dict[str, list[Change]] = {}
        self.has_metrics = True
        for name in REFUSED:
            if getattr(self.flags, name):
                raise UserError(f"--{name.replace('_', '-')} does not go with --fallback; use `dvc repro` for it")

    def __enter__(self) -> "Fallback":
        self._one_at_a_time.acquire()
        self._before = Path.cwd()
        os.chdir(self._root)
        return self

    def __exit__(self, *_: object) -> None:
        os.chdir(self._before)
        self._one_at_a_time.release()

    def plan(self, targets: Iterable[str] | str | None = None) -> Graph:
        """What DVC draws for `targets`, each stage after its upstreams."""
        named = [targets] if isinstance(targets, str) else list(targets or ["dvc.yaml"])
        asked = [[]] if self.flags.all_pipelines else [[name] for name in named]
        drawn = "\n".join(_dvc("dag", "--dot", *one) for one in asked)
        upstreams: dict[str, list[str]] = {name: [] for name in NODE.findall(drawn)}
        for upstream, name in EDGE.findall(drawn):
            upstreams[name] += [upstream] if upstream not in upstreams[name] else []
        if self.flags.alone:
            upstreams = {name: [] for name in upstreams if name.split("@")[0] in named or name in named}
        order: dict[str, None] = {}
        for name in upstreams:
            _after_its_upstreams(name, upstreams, order)
        wanted = {name: settings(_meta(name), f"stage '{name}'") for name in order}
        return Graph(tuple(Stage(name, tuple(upstreams[name]), wanted[name]) for name in order))

    def unchanged(self, address: str) -> bool:
        """Whether DVC has nothing to say of the stage."""
        return not self.flags.force and json.loads(_dvc("status", "--json", address) or "{}") == {}

    def begin(self, address: str, force: bool = False, here: bool = True) -> Outcome:  # noqa: ARG002
        """Ask DVC whether the stage changed."""
        try:
            return Outcome.UNCHANGED if not force and self.unchanged(address) else Outcome.RUN
        except DvcException as error:
            if "is busy" in str(error):
                raise NotYet(str(error)) from None
            raise

    def commands(self, address: str) -> Commands:
        """`dvc repro` of this stage alone."""
        flags = [flag for name, flag in PASSED_ON.items() if getattr(self.flags, name)]
        line = [*DVC, "repro", "--single-item", *flags, *([] if self.flags.run_cache else ["--no-run-cache"]), address]
        return Commands([f"dvc repro --single-item {address}"], [line], str(Path.cwd()), dict(os.environ))

    def finish(self, address: str) -> dict[str, str]:
        """DVC recorded the stage."""
        return self.outputs(address)

    def hold(self, address: str, pid: int) -> None:
        """DVC holds the paths."""

    def settle(self, _address: str) -> dict[str, Exception]:
        """DVC wrote its lock file."""
        return {}

    def end(self, failed: bool, stage_files: bool) -> dict[str, Exception]:  # noqa: ARG002
        """DVC wrote its lock file."""
        return {}

    release = clear = give_up = lambda *_: None

    def start(self, _address: str, here: bool = True) -> bool:  # noqa: ARG002
        """DVC looks again."""
        return True

    def outputs(self, _address: str) -> dict[str, str]:
        """Not looked at."""
        return {}


def _dvc(*arguments: str) -> str:
    ended = subprocess.run([*DVC, *arguments], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise DvcException(one_line(ended.stderr.removeprefix("ERROR: ")) or f"dvc {arguments[0]} failed")
    return ended.stdout


def _after_its_upstreams(name: str, upstreams: dict[str, list[str]], order: dict[str, None]) -> None:
    waiting = [name]
    while waiting:
        if left := [upstream for upstream in upstreams[waiting[-1]] if upstream not in order]:
            waiting += left
        else:
            order[waiting.pop()] = None


def _meta(address: str) -> Any:
    file, _, name = address.rpartition(":")
    path = Path(file or "dvc.yaml")
    if address.endswith(".dvc") or not path.exists():
        return None
    stage = YAML(typ="safe", pure=True).load(path).get("stages", {}).get(name.split("@")[0], {})
    return stage.get("do", stage).get("meta")
