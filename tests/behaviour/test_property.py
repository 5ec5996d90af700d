"""Random graphs, edits, flags and failures: the flow leaves what `dvc repro` leaves, and returns what it returns.

`GLIAFLOW_EXAMPLES` says how many, 10 by default.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.repos import Project, ours, stock

pytestmark = pytest.mark.usefixtures("api")  # Prefect keeps these runs

EXAMPLES = int(os.environ.get("GLIAFLOW_EXAMPLES", "10"))
SOURCES = ("a.txt", "b.txt", "data/x.txt", "data")  # the last two are under `dvc add`
KINDS = ("file", "file", "folder", "deep", "two", "metric", "uncached", "persist", "always", "callback", "none")
FOLDERS = (".", ".", "sub")  # in which a stage's dvc.yaml lies
MOST = 7


@dataclass(frozen=True)
class Node:
    """One stage of a random graph: `reads` are indices of earlier ones or, negative, of sources."""

    kind: str
    folder: str
    reads: tuple[int, ...]
    parameter: bool
    seconds: float
    fails: bool = False  # while a.txt holds a 1
    frozen: bool = False
    edited: int = 0

    def outputs(self, number: int) -> list[str]:
        """The paths of what it makes, from the root."""
        names = {
            "folder": [f"d{number}"],
            "deep": [f"new{number}/x/o.txt"],
            "two": [f"o{number}.txt", f"p{number}.txt"],
            "callback": [],
            "none": [],
        }.get(self.kind, [f"o{number}.txt"])
        return [os.path.normpath(f"{self.folder}/{name}") for name in names]

    def address(self, number: int) -> str:
        """Its name to DVC."""
        return f"s{number}" if self.folder == "." else f"{self.folder}/dvc.yaml:s{number}"


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Two to seven stages."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(2, MOST))):
        earlier = [i for i in range(number) if nodes[i].outputs(i)]
        reads = draw(st.lists(st.sampled_from([-1, -2, -3, -4, *earlier]), min_size=1, max_size=3, unique=True))
        nodes.append(
            Node(
                kind=draw(st.sampled_from(KINDS)),
                folder=draw(st.sampled_from(FOLDERS)),
                reads=tuple(reads),
                parameter=draw(st.booleans()),
                seconds=draw(st.sampled_from([0, 0, 0.1, 0.3])),
            )
        )
    return nodes


WHICH = st.integers(0, MOST - 1)
EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, 2)),
        st.tuples(st.just("other"), st.integers(0, 2)),
        st.tuples(st.just("data"), st.integers(0, 2)),
        st.tuples(st.just("parameter"), st.integers(0, 2)),
        st.tuples(st.sampled_from(["delete", "spoil", "command", "freeze"]), WHICH),
        st.tuples(st.sampled_from(["forget", "no runs", "no objects"]), WHICH),
    ),
    min_size=1,
    max_size=3,
)
NAMES = ["force", "force_downstream", "no_commit", "allow_missing", "single_item", "downstream", "pipeline"]


@st.composite
def steps(draw: st.DrawFn) -> tuple[list[tuple[str, int]], dict[str, Any], list[int]]:
    """Edits, then flags and targets of a run; without targets all pipelines."""
    flags: dict[str, Any] = dict.fromkeys(draw(st.lists(st.sampled_from(NAMES), max_size=2, unique=True)), True)
    flags["on_error"] = draw(st.sampled_from(["fail", "keep-going", "ignore"]))
    flags["run_cache"] = draw(st.sampled_from([True, True, True, False]))
    return draw(EDITS), flags, draw(st.lists(WHICH, max_size=2, unique=True))


def write(project: Project, nodes: list[Node]) -> None:
    """The graph's two dvc.yaml."""
    for folder in set(FOLDERS):
        made = {f"s{i}": stage(nodes, i) for i, node in enumerate(nodes) if node.folder == folder}
        project.pipeline(made, f"{folder}/dvc.yaml")


def stage(nodes: list[Node], number: int) -> dict[str, Any]:
    """One stage as dvc.yaml has it."""
    node = nodes[number]
    paths = [SOURCES[-read - 1] if read < 0 else nodes[read].outputs(read)[-1] for read in node.reads]
    if node.kind == "callback":
        return {"cmd": "true"}
    here = [os.path.relpath(path, node.folder) for path in paths]
    outs = [os.path.relpath(out, node.folder) for out in node.outputs(number)]
    command = [f"sleep {node.seconds}"]
    for out in outs:
        file = f"{out}/inner/o.txt" if node.kind == "folder" else out
        found = " ".join(f"$(find {path} -type f | sort)" for path in here)
        shown = "echo constant" if node.kind == "constant" else f"cat {found}"  # of a constant no change shows
        command += [f"mkdir -p $(dirname {file})", f"{shown} > {file}", f"echo {number} >> {file}"]
        if node.parameter and node.kind != "constant":
            command.append(f"grep ^p{number}: {os.path.relpath('params.yaml', node.folder)} >> {file}")
    command += ["true"] * node.edited
    if node.fails:
        command.append(f"! grep -q 1 {os.path.relpath('a.txt', node.folder)}")
    made: dict[str, Any] = {"cmd": " && ".join(command), "deps": here, "frozen": node.frozen}
    if node.parameter:
        made["params"] = [{os.path.relpath("params.yaml", node.folder): [f"p{number}"]}]
    flags = {"metric": {"cache": False}, "uncached": {"cache": False}, "persist": {"persist": True}}.get(node.kind)
    if outs:
        made["metrics" if node.kind == "metric" else "outs"] = [{out: flags} if flags else out for out in outs]
    return {**made, "always_changed": node.kind == "always"}


def edit(project: Project, nodes: list[Node], what: str, number: int) -> None:
    """Do to a workspace what a person might."""
    if what in ("write", "other"):
        project.write({"a.txt" if what == "write" else "b.txt": f"{number}\n"})
    elif what == "data":
        shutil.rmtree(project.root / "data", ignore_errors=True)
        project.write({"data/x.txt": f"{number}\n", "data/y.txt": "y\n"})
    elif what == "parameter":
        project.write({"params.yaml": "".join(f"p{i}: {number if i % 2 else 0}\n" for i in range(len(nodes)))})
    elif what in ("delete", "spoil"):
        number %= len(nodes)
        for out in map(project.root.joinpath, nodes[number].outputs(number)):
            if what == "delete" or out.is_file():
                shutil.rmtree(out, ignore_errors=True)
                out.unlink(missing_ok=True)
                if what == "spoil":
                    out.write_text("spoilt\n")
    elif what == "forget":
        (project.root / nodes[number % len(nodes)].folder / "dvc.lock").unlink(missing_ok=True)
    else:
        shutil.rmtree(project.root / ".dvc/cache" / what.replace("no objects", "files").split()[-1], ignore_errors=True)


def edited(nodes: list[Node], what: str, number: int) -> list[Node]:
    """The graph after an edit of its dvc.yaml."""
    number %= len(nodes)
    node = nodes[number]
    if what == "command":
        node = replace(node, edited=node.edited + 1)
    elif what == "freeze":
        node = replace(node, frozen=not node.frozen and node.kind != "callback")
    return [*nodes[:number], node, *nodes[number + 1 :]]


@given(
    nodes=graphs(),
    failing=st.one_of(st.just(set()), st.sets(WHICH, max_size=2)),
    runs=st.lists(steps(), min_size=2, max_size=4),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="GLIAFLOW_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
def test_random_graphs(
    tmp_path: Path,
    new_project: Callable[..., Project],
    nodes: list[Node],
    failing: set[int],
    runs: list[tuple[list[tuple[str, int]], dict[str, Any], list[int]]],
) -> None:
    nodes = [replace(node, fails=number in failing) for number, node in enumerate(nodes)]
    flow, dvc = fresh(new_project, tmp_path, nodes)
    lost = False  # whether DVC may have lost lines of .gitignore, its issue 11091
    first: dict[str, Any] = {"all_pipelines": True, "on_error": "keep-going"}
    planned = [([], first, []), *runs, ([("write", 0)], first, [])]
    for edits, flags, targets in planned:
        for what in edits:
            nodes = edited(nodes, *what) if what[0] in ("command", "freeze") else nodes
            for project in (flow, dvc):
                if what[0] in ("command", "freeze"):
                    write(project, nodes)
                else:
                    edit(project, nodes, *what)
        named = [nodes[number % len(nodes)].address(number % len(nodes)) for number in targets]
        options = flags if named else {**flags, "all_pipelines": True}
        returned, expected = ours(flow.root, named or None, **options), stock(dvc.root, named or None, **options)
        if flags["on_error"] == "fail" and isinstance(returned, str):
            assert isinstance(expected, str)
            return  # the flow finishes what runs, DVC what comes before: the two can differ from here on
        assert returned == expected
        lost = lost or isinstance(returned, str)
        same(flow, dvc, lost)
        if isinstance(returned, str) and not named:
            ignored(flow, nodes)
    always = {node.address(i) for i, node in enumerate(nodes) if node.kind in ("always", "callback")}
    again = stock(flow.root, **first)
    assert again == stock(dvc.root, **first)  # the flow leaves nothing more for DVC to do than DVC itself
    if not isinstance(again, str) and not any(node.frozen for node in nodes):
        assert set(again) <= always


def same(flow: Project, dvc: Project, lost: bool) -> None:
    """Byte for byte, but for what DVC may have lost."""
    left, expected = flow.left(), dvc.left()
    if lost:
        left, expected = ({n: t for n, t in x.items() if not n.endswith(".gitignore")} for x in (left, expected))
    assert left == expected


def ignored(flow: Project, nodes: list[Node]) -> None:
    """git ignores every cached output, and none twice."""
    cached = {p for i, n in enumerate(nodes) if n.kind not in ("metric", "uncached") for p in n.outputs(i)}
    found = []
    for file in [*flow.root.glob(".gitignore"), *flow.root.glob("[!.]*/**/.gitignore")]:
        found += [str((file.parent / line[1:]).relative_to(flow.root)) for line in file.read_text().splitlines()]
    assert len(found) == len(set(found))
    assert cached <= set(found)


def fresh(new_project: Callable[..., Project], folder: Path, nodes: list[Node]) -> tuple[Project, Project]:
    """Two repositories of the graph."""
    made = []
    for name in ("flow", "dvc"):
        shutil.rmtree(folder / name, ignore_errors=True)
        made.append(new_project(f"{name}/twin"))
    for project in made:
        project.write({"a.txt": "0\n", "b.txt": "0\n", "sub/keep": ""})
        edit(project, nodes, "data", 0)
        project.dvc("add", "data")
        edit(project, nodes, "parameter", 0)
        write(project, nodes)
    return made[0], made[1]
