"""Random graphs, states and flags: what `status` foretells is what the run then reports, and each of its words is true.

`GLIAFLOW_FORECASTS` says how many repositories, 10 by default; each sees four states.
"""

import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from dvc.repo import Repo

from gliaflow import api
from gliaflow.core.explain import Forecast
from gliaflow.core.options import Options
from gliaflow.core.report import Began, Event, Outcome, Report
from tests.behaviour.test_property import Node, edit, edited, write
from tests.support.repos import Project, stock

REPOSITORIES = int(os.environ.get("GLIAFLOW_FORECASTS", "10"))
ROUNDS = 4
KINDS = ("file", "file", "file", "constant", "folder", "deep", "two", "metric", "persist", "always", "callback", "none")
SWITCHES = ("force", "force_downstream", "allow_missing", "single_item", "downstream", "pipeline", "no_commit", "pull")
EDITS = (
    "write",
    "other",
    "data",
    "parameter",
    "delete",
    "spoil",
    "command",
    "freeze",
    "forget",
    "no runs",
    "no objects",
)
LOSSES = ("lose", "corrupt", "no source", "no parameters", "no data", "as cloned", "push", "nothing")
KEPT = (Outcome.UNCHANGED, Outcome.RESTORED, Outcome.PULLED)
MAY_BECOME = {
    Outcome.RUN: {*KEPT, Outcome.RUN, Outcome.FAILED},
    **{one: {*KEPT, Outcome.RUN, Outcome.FAILED, Outcome.SKIPPED} for one in KEPT},
    Outcome.FAILED: set(Outcome),
    Outcome.SKIPPED: set(Outcome),
}


def graph(chance: random.Random) -> list[Node]:
    """Two to six stages."""
    nodes: list[Node] = []
    for number in range(chance.randint(2, 6)):
        earlier = [-1, -2, -4, *(i for i in range(number) if nodes[i].outputs(i))]
        reads = tuple(chance.sample(earlier, min(len(earlier), chance.choice([1, 1, 2]))))
        kind, folder = chance.choice(KINDS), chance.choice([".", ".", "sub"])
        nodes.append(Node(kind, folder, reads, parameter=chance.random() < 0.3, seconds=0))
    return nodes


def harm(project: Project, chance: random.Random, what: str, nodes: list[Node]) -> list[Node]:
    """Do to a workspace what a person, a disk or another machine might; the graph after it."""
    number = chance.randrange(len(nodes))
    objects = sorted(path for path in (project.root / ".dvc/cache/files").rglob("*") if path.is_file())
    if what in ("command", "freeze"):
        nodes = edited(nodes, what, number)
        write(project, nodes)
    elif what in (*EDITS, "no runs", "no objects"):
        edit(project, nodes, what, chance.randrange(3))
    elif what in ("lose", "corrupt") and objects:
        gone = chance.choice(objects)
        gone.chmod(0o644)
        gone.unlink() if what == "lose" else gone.write_text("corrupt\n")
    elif what == "no source":
        (project.root / "b.txt").unlink(missing_ok=True)
    elif what == "no parameters":
        (project.root / "params.yaml").write_text("p1: 1\n")
    elif what == "no data":
        shutil.rmtree(project.root / "data", ignore_errors=True)
    elif what == "as cloned":
        for node, place in zip(nodes, range(len(nodes)), strict=True):
            for out in map(project.root.joinpath, node.outputs(place)):
                shutil.rmtree(out, ignore_errors=True) if out.is_dir() else out.unlink(missing_ok=True)
        shutil.rmtree(project.root / "data", ignore_errors=True)
        shutil.rmtree(project.root / ".dvc/cache", ignore_errors=True)
    elif what == "push":
        push(project)
    return nodes


def push(project: Project) -> None:
    """Send to the remote what this cache has, and its runs."""
    store = project.root.parent / f"{project.root.name}-store"
    store.mkdir(exist_ok=True)
    config = project.root / ".dvc/config"
    text = config.read_text()
    if "remote" not in text:
        text = text.replace("[core]", "[core]\n    remote = store")
        config.write_text(f"{text}['remote \"store\"']\n    url = {store}\n")
    for part in ("files", "runs"):
        if (project.root / ".dvc/cache" / part).exists():
            shutil.copytree(project.root / ".dvc/cache" / part, store / part, dirs_exist_ok=True)


def options(chance: random.Random) -> dict[str, Any]:
    """Flags of a run."""
    flags: dict[str, Any] = dict.fromkeys(chance.sample(SWITCHES, chance.choice([0, 0, 1, 1, 2])), True)
    flags["on_error"] = chance.choice(["fail", "keep-going", "keep-going", "ignore"])
    flags["run_cache"] = chance.random() < 0.7
    return flags


class Starts:
    """Hears which commands start."""

    def __init__(self) -> None:
        self.addresses: set[str] = set()

    def hear(self, event: Event) -> None:
        """Keep it."""
        if isinstance(event, Began):
            self.addresses.add(event.address)


def affected(nodes: list[Node], report: Report, started: set[str]) -> set[str]:
    """Which stages the failure of a command may have touched: nobody foretells that."""
    broken = {one.address for one in report.failed} & started
    if not broken:
        return set()
    if report.on_error == "fail":
        return {one.address for one in report.results}
    names = [node.address(place) for place, node in enumerate(nodes)]
    for place, node in enumerate(nodes):
        if any(read >= 0 and names[read] in broken for read in node.reads):
            broken.add(names[place])
    return broken


def compare(found: list[Forecast], report: Report, free: set[str], pull: bool) -> Iterator[str]:
    """What was foretold wrongly."""
    results = {one.address: one for one in report.results}
    failed = report.on_error == "fail" and any(one.outcome is Outcome.FAILED for one in report.results)
    assert [one.address for one in found] == list(results)
    for one in found:
        result = results[one.address]
        if one.address in free or (failed and result.outcome is Outcome.SKIPPED):
            continue
        allowed = {one.outcome} if one.certain else MAY_BECOME[one.outcome]
        if result.outcome not in allowed:
            yield f"{one} ({one.certain}) became {result.outcome.value}: {result.why}"
        if (
            one.outcome is Outcome.FAILED and one.certain and one.why != result.why and not pull
        ):  # DVC asks the remote first
            yield f"{one} failed with {result.why}"


def listed(project: Project, named: list[str], flags: dict[str, Any]) -> list[str] | None:
    """What `dvc repro --dry` names; None if it fails, as it does over data that is missing now."""
    found = stock(project.root, named or None, dry=True, **{**flags, "on_error": "fail"})
    return None if isinstance(found, str) else found


@pytest.mark.parametrize("seed", range(REPOSITORIES))
def test_what_is_foretold_is_what_the_run_reports(
    new_project: Callable[..., Project], seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    project, nodes = new_project("twin"), graph(chance)
    monkeypatch.setenv("PATH", project.environment["PATH"])
    project.write({"a.txt": "0\n", "b.txt": "0\n", "sub/keep": ""})
    edit(project, nodes, "data", 0)
    with Repo(str(project.root)) as repo:
        repo.add(str(project.root / "data"))
    edit(project, nodes, "parameter", 0)
    write(project, nodes)
    counts = Counter[bool]()
    for round_ in range(ROUNDS):
        done = [chance.choice(EDITS + LOSSES) for _ in range(chance.randint(1, 2))] if round_ else []
        for what in done:
            nodes = harm(project, chance, what, nodes)
        flags = options(chance)
        named = [nodes[i].address(i) for i in chance.sample(range(len(nodes)), chance.choice([0, 0, 1]))]
        flags |= {} if named else {"all_pipelines": True}
        monkeypatch.chdir(project.root)
        dry = None if flags.get("pull") else listed(project, named, flags)
        before = project.left()
        found = api.status(project.root, named, options=Options(**flags))
        assert project.left() == before
        if dry is not None:
            assert [one.address for one in found if one.reproduced] == dry
        ear = Starts()
        report = api.reproduce(project.root, named, options=Options(**flags), prefect=False, jobs=2, listener=ear)
        wrong = list(compare(found, report, affected(nodes, report, ear.addresses), bool(flags.get("pull"))))
        shown = "\n".join(
            [*map(str, found), *(f"{one.address}: {one.outcome.value}: {one.why}" for one in report.results)]
        )
        assert wrong == [], f"round {round_} after {done} with {flags}, targets {named}:\n{shown}"
        counts.update(one.certain for one in found)
    assert counts[True] > counts[False]
