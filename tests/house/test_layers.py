"""Holds the floors of the engine, as src/gliaflow/__init__.py draws them: an import goes only downwards."""

import ast
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.support.repos import ROOT, SOURCE

OURS = "gliaflow"
FLOORS = (
    "__main__  cli  team  as_dvc  api  experiments  hosts|slurm  flow|workspace|versioning  audit"
    "  export|lockfiles|page"
    "  memo|store|journal  words  machine  relay|turns|signals|terminal|resources|made  core  errors"
)
BORROWERS = (  # what is not ours, and the rooms that may import it; of what stands nowhere here, all may
    ("dvc dvc_data dvc_objects scmrepo", "memo words lockfiles store versioning workspace audit experiments as_dvc"),
    ("prefect", "flow hosts team"),
    ("httpx", "export flow hosts team"),
    ("cyclopts rich", "cli"),
    ("plotly optuna", "experiments search"),
    ("stages flows torch tensorflow", ""),
)
EXCEPTIONS = {("api", "dvc.exceptions")}  # `api` turns DVC's errors into ours
MOST_FILES = 8  # in a room, __init__.py not counted

HEIGHTS = {name: -place for place, floor in enumerate(FLOORS.split()) for name in floor.split("|")}
ALLOWED = {package: rooms.split() for packages, rooms in BORROWERS for package in packages.split()}
Imports = dict[str, set[tuple[int, str]]]


def imports(source: Path) -> Imports:
    """What each module below `source` imports anywhere in it, with the line: ours as modules, others' names dotted."""
    files = {".".join(path.relative_to(source).with_suffix("").parts): path for path in source.rglob("*.py")}

    def module(name: str) -> str:
        above = name.rpartition(".")[0]
        return next((one for one in (name, f"{name}.__init__", above, f"{above}.__init__") if one in files), name)

    found: Imports = {name: set() for name in files}
    for name, path in files.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found[name] |= {(node.lineno, module(alias.name)) for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                start = f"{'.' * node.level}{node.module or ''}"
                found[name] |= {(node.lineno, module(f"{start}.{alias.name}")) for alias in node.names}
    return found


def may_import(room: str, name: str) -> bool:
    """Whether a room may import a name of a package that not all may import; nobody imports by dots in front."""
    return room in ALLOWED.get(name.split(".")[0], ()) or (room, name.rpartition(".")[0]) in EXCEPTIONS


def wrong(source: Path) -> list[str]:
    """The imports that break a rule, one sentence each. The package itself hands names out and stands on no floor."""
    found = []
    for module, names in imports(source).items():
        here = module.split(".")[1]
        for line, name in names if here != "__init__" else ():
            package, _, inside = name.partition(".")
            there = inside.split(".")[0]
            if package == OURS and there not in (here, "__init__") and HEIGHTS[there] >= HEIGHTS[here]:
                found.append(f"{module}:{line}: {here} does not stand above {there}")
            elif package in ("", *ALLOWED) and not may_import(here, name):
                found.append(f"{module}:{line}: {here} may not import {name}")
    return sorted(found)


def circle(source: Path) -> list[str]:
    """The modules that import one another, and those between them and above."""
    left = {module: {name for _, name in names} for module, names in imports(source).items()}
    while ends := [module for module, names in left.items() if not names & left.keys()]:
        for module in ends:
            del left[module]
    return sorted(left)


def test_an_import_goes_only_downwards() -> None:
    assert wrong(ROOT / "src") == []


def test_there_is_no_circle() -> None:
    assert circle(ROOT / "src") == []


def test_no_room_has_too_many_files() -> None:
    files = Counter(path.parent.name for path in (ROOT / "src").rglob("*.py") if path.name != "__init__.py")
    assert {name: count for name, count in files.items() if count > MOST_FILES} == {}


def test_importing_the_package_loads_neither_dvc_nor_prefect() -> None:
    code = "import gliaflow, sys; print({'dvc', 'prefect', 'pydantic', 'rich', 'cyclopts'} & sys.modules.keys())"
    line = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(SOURCE)!r}); {code}"]
    assert subprocess.run(line, capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("core/graph", "from gliaflow.store.files import x", "1: core does not stand above store"),
        ("core/graph", "def f():\n    import gliaflow.cli.app", "2: core does not stand above cli"),
        ("flow/tasks", "from gliaflow import workspace", "1: flow does not stand above workspace"),
        (
            "errors",
            "from gliaflow import __version__\nimport gliaflow.core.graph",
            "2: errors does not stand above core",
        ),
        ("core/graph", "if TYPE_CHECKING:\n    from scmrepo.git import Git", "2: core may not import scmrepo.git.Git"),
        ("api", "from dvc.repo import Repo", "1: api may not import dvc.repo.Repo"),
        ("store/files", "import torch.nn", "1: store may not import torch.nn"),
        ("cli/app", "from ..core import graph", "1: cli may not import ..core.graph"),
        ("cli/app", "from gliaflow.core import graph\nfrom cyclopts import App\nimport json", ""),
        ("api", "from dvc.exceptions import DvcException", ""),
    ],
)
def test_what_breaks_a_rule_is_found(tmp_path: Path, file: str, text: str, said: str) -> None:
    rooms = ("__init__", "errors", "core/__init__", "core/graph", "store/files", "workspace/__init__", "cli/app")
    for name in (*rooms, file):
        path = (tmp_path / OURS / name).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text if name == file else "")
    module = f"{OURS}.{file.replace('/', '.')}"
    assert wrong(tmp_path) == ([f"{module}:{said}"] if said else [])


def test_what_goes_round_is_found(tmp_path: Path) -> None:
    for name, text in {"a": "def f():\n    from gliaflow import b", "b": "import gliaflow.c", "c": "", "d": ""}.items():
        (tmp_path / OURS).mkdir(exist_ok=True)
        (tmp_path / OURS / f"{name}.py").write_text(text)
    assert circle(tmp_path) == []
    (tmp_path / OURS / "c.py").write_text("from gliaflow.a import f")
    assert circle(tmp_path) == ["gliaflow.a", "gliaflow.b", "gliaflow.c"]
