"""A workspace in which every stage goes through `dvc repro -s`: slower, but this uses nothing of DVC but its commands.

For a DVC whose internals moved. Stages that are new to dvc.lock are appended in the order in which they end, and what a
command exits with is not known, so that only a death by signal is tried again.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, chdir
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from ruamel.yaml import YAML

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.options import Options
from gliaflow.core.ports import Commands, Foreseen, NotYet, Prepared, Reply
from gliaflow.core.report import Outcome, Recorded
from gliaflow.core.settings import settings
from gliaflow.errors import UserError, one_line
from gliaflow.turns import turn

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
PASSED_ON = {"force": "--force", "pull": "--pull", "allow_missing": "--allow-missing", "no_commit": "--no-commit"}
REFUSED = ("recursive", "pipeline", "downstream", "glob", "force_downstream", "dry", "interactive")
NODE = re.compile(r'^"([^"]+)";$', re.MULTILINE)
EDGE = re.compile(r'^"([^"]+)" -> "([^"]+)";$', re.MULTILINE)


class Fallback:
    """Stands in for `gliaflow.workspace.workspace.Workspace`."""

    def __init__(
        self, root: Path | str = ".", options: Options | None = None, say: Callable[[str], None] = print
    ) -> None:
        self.options, self._say, self._root = options or Options(), say, Path(root)
        for name in REFUSED:
            if getattr(self.options, name):
                raise UserError(f"--{name.replace('_', '-')} does not go with --fallback; use `dvc repro` for it")

    def __enter__(self) -> "Fallback":
        with ExitStack() as stack:
            stack.enter_context(turn(self._root, self._say))
            stack.enter_context(chdir(self._root))
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def cache(self) -> str | None:
        """Not known."""
        return None

    @property
    def commit(self) -> str:
        """Not looked at."""
        return ""

    @property
    def plots(self) -> list[dict[str, object]]:
        """Not known."""
        return []

    def recorded(self, address: str) -> Recorded:  # noqa: ARG002
        """Not known."""
        return Recorded()

    def plan(self, targets: Iterable[str] = ()) -> Graph:
        """What DVC draws for `targets`, each stage after its upstreams."""
        named = list(targets) or ["dvc.yaml"]
        asked = [[]] if self.options.all_pipelines else [[name] for name in named]
        drawn = "\n".join(_dvc("dag", "--dot", *one) for one in asked)
        upstreams: dict[str, list[str]] = {name: [] for name in NODE.findall(drawn)}
        for upstream, name in EDGE.findall(drawn):
            upstreams[name] += [upstream] if upstream not in upstreams[name] else []
        if self.options.alone:
            upstreams = {name: [] for name in upstreams if name.split("@")[0] in named or name in named}
        order: dict[str, None] = {}
        for name in upstreams:
            _after_its_upstreams(name, upstreams, order)
        wanted = {name: settings(_meta(name), f"stage '{name}'") for name in order}
        return Graph(tuple(Stage(name, tuple(upstreams[name]), wanted[name], metrics=True) for name in order))

    def check_travels(self, addresses: Iterable[str]) -> None:
        """`dvc repro` runs here alone.

        Raises:
            UserError: always.
        """
        raise UserError(f"{', '.join(map(repr, addresses))} cannot run on other hosts with --fallback: leave it out")

    def unchanged(self, addresses: Iterable[str]) -> bool:
        """Whether DVC has nothing to tell of these stages."""
        return not self.options.force and json.loads(_dvc("status", "--json", *addresses) or "{}") == {}

    def forecast(self, address: str, coming: Mapping[str, object], force: bool = False) -> Foreseen:  # noqa: ARG002
        """Whether DVC would run the stage; why is not looked at."""
        changed = force or not self.unchanged([address])
        return Foreseen(changed, Outcome.RUN if changed else Outcome.UNCHANGED)

    def prepare(self, address: str, force: bool = False, travels: bool = False) -> Prepared:
        """Ask DVC whether the stage changed."""
        assert not travels
        try:
            if not force and self.unchanged([address]):
                return Prepared(Outcome.UNCHANGED)
            return Prepared(Outcome.RUN, commands=self._commands(address))
        except DvcException as error:
            if "is busy" in str(error):
                raise NotYet(str(error)) from None
            raise

    def _commands(self, address: str) -> Commands:
        """`dvc repro` of this stage alone."""
        flags = [flag for name, flag in PASSED_ON.items() if getattr(self.options, name)]
        flags += [] if self.options.run_cache else ["--no-run-cache"]
        line = [*DVC, "repro", "--single-item", *flags, address]
        return Commands([f"dvc repro --single-item {address}"], [line], str(Path.cwd()), dict(os.environ))

    def claim(self, address: str, travels: bool = False) -> bool:  # noqa: ARG002
        """DVC looks again."""
        return True

    def finish(self, address: str, reply: Reply | None = None) -> dict[str, str]:  # noqa: ARG002
        """DVC recorded the stage; its outputs are not looked at."""
        return {}

    def hold(self, address: str, pid: int) -> None:
        """DVC holds the paths."""

    def release(self, address: str) -> None:
        """DVC gives the paths back."""

    def clear(self, address: str) -> None:
        """DVC removes the outputs."""

    def discard(self, address: str) -> None:
        """DVC removes the outputs."""

    def settle(self, address: str) -> dict[str, Exception]:  # noqa: ARG002
        """DVC wrote its lock file."""
        return {}

    def close(self, failed: bool, complete: bool) -> dict[str, Exception]:  # noqa: ARG002
        """DVC wrote its lock file."""
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
