"""Which sets of parameters have become which experiments: lines of JSON, appended, so that a sweep can go on.

A set is known by a hash of all that its result depends on. An experiment counts as long as git has its commit under
any name, so one that was renamed does, and one that was removed does not.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from gliaflow.experiments.results import Experiment
from gliaflow.journal.lines import Lines
from gliaflow.machine.git import git

LEDGER = "ledger.jsonl"  # the file's usual name
EXPERIMENTS = "refs/exps"
PARTS = 5  # of the ref of an experiment: refs/exps/12/3456…/name


def identity(of: Mapping[str, Any]) -> str:
    """A hash of plain data."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:24]


class Ledger:
    """The file `path`, which several processes may append to."""

    def __init__(self, path: Path) -> None:
        self._lines = Lines(path)

    def begin(self, key: str, name: str) -> None:
        """Note which name the experiment of a set gets."""
        self._lines.append({"set": key, "name": name})

    def end(self, key: str, experiment: Experiment) -> None:
        """Note that the experiment of a set is done."""
        self._lines.append({"set": key, "experiment": experiment.plain()})

    def names(self) -> dict[str, str]:
        """The name of each set that was begun."""
        return {line["set"]: line["name"] for line in self._lines.read() if "name" in line}

    def done(self, top: Path) -> dict[str, Experiment]:
        """The experiment of each set that is done, and that the git repository at `top` still has."""
        names = experiment_names(top)
        found = {}
        for line in self._lines.read():
            if "experiment" in line and (plain := line["experiment"])["rev"] in names:
                found[line["set"]] = Experiment.of({**plain, "name": names[plain["rev"]]})
        return found

    def experiment(self, key: str, top: Path) -> Experiment | None:
        """The experiment of one set, if it is done and git still has it; the rest of the file is not looked at."""
        own = [line for line in self._lines.read(key) if line.get("set") == key and "experiment" in line]
        if not own:
            return None
        names, plain = experiment_names(top), own[-1]["experiment"]
        return Experiment.of({**plain, "name": names[plain["rev"]]}) if plain["rev"] in names else None

    def leave(self, hashes: Collection[str]) -> None:
        """Note what an experiment that failed has put into the cache."""
        self._lines.append({"left": sorted(hashes)})

    def forget(self) -> None:
        """Note that nothing is left of what was noted so far."""
        self._lines.append({"forgotten": True})

    def revs(self) -> set[str]:
        """The commits of all experiments that sweeps have made."""
        return {line["experiment"]["rev"] for line in self._lines.read() if "experiment" in line}

    def left(self) -> set[str]:
        """What failed experiments have put into the cache since `forget` was called last."""
        found: set[str] = set()
        for line in self._lines.read():
            found = set() if "forgotten" in line else found | set(line.get("left", ()))
        return found


def experiment_names(top: Path) -> dict[str, str]:
    """The name of each experiment of the git repository at `top`, by its commit."""
    return {rev: ref.rpartition("/")[2] for ref, rev in experiment_refs(top).items()}


def experiment_refs(top: Path) -> dict[str, str]:
    """The commit of each experiment of the git repository at `top`, by its ref."""
    lines = git(top, "for-each-ref", "--format=%(refname) %(objectname)", EXPERIMENTS).stdout.splitlines()
    pairs = (line.split() for line in lines)
    return {ref: rev for ref, rev in pairs if len(ref.split("/")) == PARTS}
