"""Random graphs, edits and failures: the flow leaves what `dvc repro` leaves, and returns what it returns.

`GLIAFLOW_EXAMPLES` says how many, 6 by default.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import ReproductionError
from dvc.repo import Repo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flows.repro import reproduce
from tests.flows.repos import Project

EXAMPLES = int(os.environ.get("GLIAFLOW_EXAMPLES", "6"))
SOURCES = ("a.txt", "b.txt")
KINDS = ("file", "folder", "deep", "metric", "uncached", "persist", "callback")


@dataclass(frozen=True)
class Node:
    """One stage of a random graph: `reads` are indices of earlier ones or, negative, of sources."""

    kind: str
    reads: tuple[int, ...]
    parameter: bool
    fails: bool = False

    def output(self, number: int) -> str:
        """The path of what it makes."""
        return {"folder": f"d{number}", "deep": f"new{number}/x/o.txt"}.get(self.kind, f"o{number}.txt")


@st.composite
def graphs(draw: st.DrawFn) -> list[Node]:
    """Two to six stages."""
    nodes: list[Node] = []
    for number in range(draw(st.integers(2, 6))):
        earlier = [i for i in range(number) if nodes[i].kind != "callback"]
        reads = draw(st.lists(st.sampled_from([-1, -2, *earlier]), min_size=1, max_size=3, unique=True))
        nodes.append(Node(draw(st.sampled_from(KINDS)), tuple(reads), draw(st.booleans())))
    return nodes


EDITS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from(SOURCES), st.integers(0, 2)),
        st.tuples(st.just("parameter"), st.just(""), st.integers(0, 2)),
        st.tuples(st.just("delete"), st.just(""), st.integers(0, 5)),
        st.tuples(st.just("spoil"), st.just(""), st.integers(0, 5)),
        st.tuples(st.just("command"), st.just(""), st.integers(0, 5)),
        st.tuples(st.just("forget"), st.just(""), st.integers(0, 5)),
    ),
    min_size=2,
    max_size=4,
)
FLAGS = st.sampled_from(
    [
        {},
        {},
        {},
        {"force": True},
        {"force_downstream": True},
        {"run_cache": False},
        {"no_commit": True},
        {"single_item": True},
    ]
)


def stages(nodes: list[Node], changed: frozenset[int] = frozenset()) -> dict[str, Any]:
    """The graph's dvc.yaml."""
    made = {}
    for number, node in enumerate(nodes):
        paths = [SOURCES[-read - 1] if read < 0 else nodes[read].output(read) for read in node.reads]
        found = " ".join(f"$(find {path} -type f | sort)" for path in paths)
        out = node.output(number)
        file = f"{out}/inner/o.txt" if node.kind == "folder" else out
        command = f"mkdir -p $(dirname {file}) && cat {found} > {file} && echo {number} >> {file}"
        if node.parameter:
            command += f" && grep ^p{number}: params.yaml >> {file}"
        if number in changed:
            command += " && true"
        if node.fails:
            command += f" && ! grep -q 1 {SOURCES[0]}"
        stage: dict[str, Any] = {"cmd": command, "deps": paths}
        if node.parameter:
            stage["params"] = [f"p{number}"]
        if node.kind == "callback":
            made[f"s{number}"] = {"cmd": "true"}
            continue
        if node.kind == "metric":
            stage["metrics"] = [{out: {"cache": False}}]
        else:
            flags = {"uncached": {"cache": False}, "persist": {"persist": True}}.get(node.kind)
            stage["outs"] = [{out: flags} if flags else out]
        made[f"s{number}"] = stage
    return made


def edit(project: Project, nodes: list[Node], what: tuple[str, str, int]) -> None:
    """Do to a workspace what a person might."""
    kind, name, number = what
    out = project.root / nodes[number % len(nodes)].output(number % len(nodes))
    if kind == "write":
        project.write({name: f"{number}\n"})
    elif kind == "parameter":
        project.write({"params.yaml": "".join(f"p{i}: {number if i % 2 else 0}\n" for i in range(len(nodes)))})
    elif kind == "delete":
        shutil.rmtree(out, ignore_errors=True)
        out.unlink(missing_ok=True)
    elif kind == "spoil" and out.is_file():
        out.chmod(0o644)
        out.unlink()
        out.write_text("spoilt\n")
    elif kind == "command":
        project.pipeline(stages(nodes, frozenset({number % len(nodes)})))
    elif kind == "forget":
        (project.root / "dvc.lock").unlink(missing_ok=True)


def stock(root: Path, **flags: Any) -> list[str] | str:
    """What `dvc repro` returns, or that it failed."""
    before = Path.cwd()
    os.chdir(root)
    try:
        with Repo() as repo:
            return [stage.addressing for stage in repo.reproduce(**flags)]
    except ReproductionError as error:
        return str(error)
    finally:
        os.chdir(before)


def ours(root: Path, **flags: Any) -> list[str] | str:
    """The same of the flow."""
    try:
        return reproduce(root, jobs=3, **flags)
    except ReproductionError as error:
        return str(error)


@given(nodes=graphs(), edits=EDITS, flags=FLAGS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="GLIAFLOW_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
def test_random_graphs_under_random_edits(
    tmp_path: Path,
    new_project: Callable[..., Project],
    nodes: list[Node],
    edits: list[tuple[str, str, int]],
    flags: dict[str, Any],
) -> None:
    flow, dvc = fresh(new_project, tmp_path, nodes)
    assert ours(flow.root) == stock(dvc.root)
    assert flow.left() == dvc.left()
    for what in edits:
        for project in (flow, dvc):
            edit(project, nodes, what)
        assert ours(flow.root, **flags) == stock(dvc.root, **flags)
        assert flow.left() == dvc.left()
    assert ours(flow.root) == stock(dvc.root)
    assert flow.left() == dvc.left()
    assert stock(flow.root) == stock(dvc.root)  # the flow leaves nothing for DVC to do


@given(nodes=graphs(), failing=st.sets(st.integers(0, 5), min_size=1, max_size=2), edits=EDITS)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="GLIAFLOW_EXAMPLES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
def test_random_failures(
    tmp_path: Path,
    new_project: Callable[..., Project],
    nodes: list[Node],
    failing: set[int],
    edits: list[tuple[str, str, int]],
) -> None:
    nodes = [Node(n.kind, n.reads, n.parameter, i in failing) for i, n in enumerate(nodes)]
    flow, dvc = fresh(new_project, tmp_path, nodes)
    for what in [("write", "a.txt", 1), *edits]:
        for project in (flow, dvc):
            edit(project, nodes, what)
        assert ours(flow.root, on_error="keep-going") == stock(dvc.root, on_error="keep-going")
        left, expected = flow.left(), dvc.left()
        ignored = left.pop(".gitignore", b"").decode().splitlines()
        expected.pop(".gitignore", None)
        assert without_ignores(left) == without_ignores(expected)
        cached = [n.output(i) for i, n in enumerate(nodes) if n.kind in ("file", "folder", "persist")]
        assert {f"/{path}" for path in cached} <= set(ignored)


def without_ignores(left: dict[str, bytes]) -> dict[str, bytes]:
    return {path: text for path, text in left.items() if not path.endswith(".gitignore")}


def fresh(new_project: Callable[..., Project], folder: Path, nodes: list[Node]) -> tuple[Project, Project]:
    """Two repositories of the graph."""
    made = []
    for name in ("flow", "dvc"):
        shutil.rmtree(folder / name, ignore_errors=True)
        made.append(new_project(f"{name}/twin"))
    for project in made:
        project.write({"a.txt": "0\n", "b.txt": "0\n"})
        edit(project, nodes, ("parameter", "", 0))
        project.pipeline(stages(nodes))
    return made[0], made[1]
