"""Which files of a repository a program imports, on real files; what Python itself loads is the judge."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from gliaflow.audit.commands import started
from gliaflow.audit.imports import Imports, has_code

LOADED = """
import json, runpy, sys
sys.argv = sys.argv[1:]
if sys.argv[0] == "-m":
    sys.path.insert(0, "")
    runpy.run_module(sys.argv[1], run_name="__main__", alter_sys=True)
else:
    sys.path.insert(0, sys.argv[0].rpartition("/")[0])
    runpy.run_path(sys.argv[0], run_name="__main__")
print(json.dumps([getattr(one, "__file__", None) for one in sys.modules.values()]))
"""


def made(root: Path, files: dict[str, str]) -> None:
    """Write files, given as path → text."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def imported(root: Path, line: str) -> set[str]:
    """The files of `root` that a line imports, the program itself too."""
    (program,) = started([line], root).programs
    return {str(path.relative_to(root)) for path in Imports(root).of(program)}


def loaded(root: Path, *arguments: str) -> set[str]:
    """The files of `root` that Python loads, without the program itself."""
    line = [sys.executable, "-I", "-c", LOADED, *arguments]
    ran = subprocess.run(line, cwd=root, capture_output=True, text=True, check=True)
    files = [Path(path) for path in json.loads(ran.stdout.splitlines()[-1]) if path]
    return {str(path.relative_to(root)) for path in files if path.is_relative_to(root)}


PACKAGE = {
    "pkg/__init__.py": "from pkg import early\n",
    "pkg/early.py": "",
    "pkg/main.py": "import pkg.a\nfrom . import b\nfrom pkg.sub import c, VALUE\nfrom . import d\nfrom .sub.e import X",
    "pkg/a.py": "import json, os.path\n",
    "pkg/b.py": "def f():\n    return 1\nfrom .sub import *\n",
    "pkg/d.py": "import space.inner\n",
    "pkg/sub/__init__.py": "VALUE = 1\n__all__ = ['VALUE', 'starred']\n",
    "pkg/sub/c.py": "from .. import up\n",
    "pkg/sub/e.py": "X = 1\n",
    "pkg/sub/starred.py": "",
    "pkg/up.py": "import importlib\nimportlib.import_module('pkg.named')\n",
    "pkg/named.py": "",
    "pkg/unused.py": "",
    "space/inner.py": "",
}


def test_all_that_python_loads_is_found_and_nothing_else(tmp_path: Path) -> None:
    made(tmp_path, PACKAGE)
    assert imported(tmp_path, "python -m pkg.main") - {"pkg/main.py"} == loaded(tmp_path, "-m", "pkg.main")
    assert len(loaded(tmp_path, "-m", "pkg.main")) == 12


def test_a_script_finds_what_lies_beside_it_and_not_what_lies_where_it_starts(tmp_path: Path) -> None:
    files = {"tools/run.py": "import beside\ntry:\n    import above\nexcept ImportError:\n    pass\n", "above.py": ""}
    made(tmp_path, {**files, "tools/beside.py": ""})
    assert loaded(tmp_path, "tools/run.py") == {"tools/beside.py"}
    assert imported(tmp_path, "python tools/run.py") == {"tools/run.py", "tools/beside.py"}


def test_a_module_that_starts_in_another_folder(tmp_path: Path) -> None:
    made(tmp_path, {"sub/pkg/__init__.py": "", "sub/pkg/a.py": "import pkg.b", "sub/pkg/b.py": "", "pkg/b.py": ""})
    assert imported(tmp_path, "cd sub && python -m pkg.a") == {f"sub/pkg/{name}.py" for name in ("__init__", "a", "b")}


def test_a_package_runs_by_its_main(tmp_path: Path) -> None:
    made(
        tmp_path, {"pkg/__init__.py": "", "pkg/__main__.py": "from . import a", "pkg/a.py": "", "bare/__main__.py": ""}
    )
    assert imported(tmp_path, "python -m pkg") == {"pkg/__init__.py", "pkg/__main__.py", "pkg/a.py"}
    assert imported(tmp_path, "python bare") == {"bare/__main__.py"}
    assert imported(tmp_path, "python -m bare") == {"bare/__main__.py"}


def test_code_of_a_command_imports_from_where_it_starts(tmp_path: Path) -> None:
    made(tmp_path, {"a.py": "import b", "b.py": ""})
    assert imported(tmp_path, "python -c 'import a; print(a)'") == {"a.py", "b.py"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\nelse:\n    import b", {"b"}),
        ("import typing\nif typing.TYPE_CHECKING:\n    import a", set()),
        ("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import a", {"a"}),
        ("if False:\n    import a", set()),
        ("def f():\n    import a", {"a"}),
        ("class A:\n    def f(self):\n        from a import x", {"a"}),
        ("try:\n    import a\nexcept ImportError:\n    import b", {"a", "b"}),
        ("import sys\nif sys.platform == 'linux':\n    import a\nelif x:\n    import b", {"a", "b"}),
        ("__import__('a')", {"a"}),
        ("from importlib import import_module\nimport_module('a')\nimport_module(name)", {"a"}),
        ("async def f():\n    import a", {"a"}),
        ("import time, sys, a as other", {"a"}),
        ("this is no Python", set()),
        ("\0", set()),
    ],
)
def test_statements_that_may_run_count(tmp_path: Path, text: str, found: set[str]) -> None:
    made(tmp_path, {"main.py": text, "a.py": "", "b.py": "", "time.py": ""})
    assert imported(tmp_path, "python main.py") == {"main.py"} | {f"{name}.py" for name in found}


def test_what_a_module_does_as_a_program_counts_for_the_program_alone(tmp_path: Path) -> None:
    text = "if __name__ == '__main__':\n    import a"
    made(tmp_path, {"main.py": text, "other.py": "import main", "a.py": ""})
    assert imported(tmp_path, "python main.py") == {"main.py", "a.py"}
    assert imported(tmp_path, "python other.py") == {"other.py", "main.py"}


def test_sources_below_src_are_found_where_the_repository_is_a_package(tmp_path: Path) -> None:
    made(tmp_path, {"src/pkg/__init__.py": "", "src/pkg/a.py": "", "scripts/run.py": "import pkg.a", "flat/a.py": ""})
    assert imported(tmp_path, "python scripts/run.py") == {"scripts/run.py"}
    made(tmp_path, {"pyproject.toml": ""})
    assert imported(tmp_path, "python scripts/run.py") == {"scripts/run.py", "src/pkg/__init__.py", "src/pkg/a.py"}
    made(tmp_path, {"scripts/run.py": "import flat.a"})
    assert imported(tmp_path, "python scripts/run.py") == {"scripts/run.py", "flat/a.py"}


def test_the_folder_that_setuptools_is_told_of(tmp_path: Path) -> None:
    made(tmp_path, {"lib/pkg/a.py": "", "scripts/run.py": "import pkg.a"})
    made(tmp_path, {"pyproject.toml": "[tool.setuptools.packages.find]\nwhere = ['lib']\n"})
    assert imported(tmp_path, "python scripts/run.py") == {"scripts/run.py", "lib/pkg/a.py"}


def test_a_path_that_the_command_sets(tmp_path: Path) -> None:
    made(tmp_path, {"lib/a.py": "", "run.py": "import a"})
    assert imported(tmp_path, "PYTHONPATH=lib python run.py") == {"run.py", "lib/a.py"}


def test_an_installed_package_comes_before_a_folder_that_is_none(tmp_path: Path) -> None:
    made(tmp_path, {"run.py": "from pytest import a\nfrom data import b", "pytest/a.py": "", "data/b.py": ""})
    assert imported(tmp_path, "python run.py") == {"run.py", "data/b.py"}


def test_a_program_that_is_not_there_imports_nothing(tmp_path: Path) -> None:
    made(tmp_path, {"pkg/__init__.py": ""})
    assert imported(tmp_path, "python no.py") == imported(tmp_path, "python -m pkg.no") == set()
    assert imported(tmp_path, "python -m http.server") == set()


def test_a_file_outside_of_the_repository_is_not_followed(tmp_path: Path) -> None:
    made(tmp_path, {"repo/run.py": "import a", "out/a.py": ""})
    assert imported(tmp_path / "repo", "PYTHONPATH=../out python run.py") == {"run.py"}


@pytest.mark.parametrize(
    ("text", "code"), [("", False), ("# only this\n", False), ('"""Words."""\n', False), ("x = 1", True), ("(", True)]
)
def test_a_file_without_code_is_known(tmp_path: Path, text: str, code: bool) -> None:
    made(tmp_path, {"a.py": text})
    assert has_code(tmp_path / "a.py") is code
