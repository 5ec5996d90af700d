"""What stages import and do not declare, in DVC repositories of every kind, and the lines that are added."""

from pathlib import Path

import pytest
from dvc.exceptions import DvcException

from gliaflow.audit.check import declare, undeclared
from gliaflow.errors import UserError
from gliaflow.store.repository import opened
from tests.support.repos import Project

CODE = {"run.py": "import lib.one\n", "lib/__init__.py": '"""Words."""\n', "lib/one.py": "from lib import two\n"}
CODE |= {"lib/two.py": ""}


def found(project: Project, *targets: str, at: str = ".") -> dict[str, tuple[str, ...]]:
    """What `check` finds."""
    with opened(project.root / at) as repo:
        return undeclared(repo, targets)


def fixed(project: Project, *targets: str) -> dict[str, tuple[str, ...]]:
    """What `check --fix` adds."""
    with opened(project.root) as repo:
        return declare(repo, targets)


def test_an_import_that_is_not_declared_is_named(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"s": {"cmd": "python run.py", "deps": ["run.py", "lib/one.py"], "outs": ["o"]}})
    assert found(project) == {"s": ("lib/two.py",)}


def test_the_program_itself_is_a_dependency(project: Project) -> None:
    project.write({"run.py": ""})
    project.pipeline({"s": {"cmd": "python run.py", "outs": ["o"]}})
    assert found(project) == {"s": ("run.py",)}


def test_a_folder_stands_for_what_is_in_it(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"s": {"cmd": "python run.py", "deps": ["run.py", "lib"], "outs": ["o"]}})
    assert found(project) == {}


def test_what_a_stage_makes_itself_is_no_dependency(project: Project) -> None:
    project.write({"run.py": "import made", "made.py": ""})
    project.pipeline({"s": {"cmd": "python run.py", "deps": ["run.py"], "outs": ["made.py"]}})
    assert found(project) == {}


def test_a_package_counts_once_it_holds_code(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"s": {"cmd": "python run.py", "deps": ["run.py", "lib/one.py", "lib/two.py"], "outs": ["o"]}})
    assert found(project) == {}
    project.write({"lib/__init__.py": "x = 1\n"})
    assert found(project) == {"s": ("lib/__init__.py",)}


def test_what_dvc_ignores_cannot_be_declared(project: Project) -> None:
    project.write({**CODE, ".dvcignore": "lib\n"})
    project.pipeline({"s": {"cmd": "python run.py", "deps": ["run.py"], "outs": ["o"]}})
    assert found(project) == {}


def test_targets_and_folders(project: Project) -> None:
    project.write({"run.py": "", "sub/run.py": ""})
    project.pipeline({name: {"cmd": "python run.py", "outs": [name]} for name in ("a", "b")})
    project.pipeline({"c": {"cmd": "python run.py", "outs": ["c"]}}, "sub/dvc.yaml")
    assert found(project) == {"a": ("run.py",), "b": ("run.py",), "sub/dvc.yaml:c": ("sub/run.py",)}
    assert found(project, "b") == {"b": ("run.py",)}
    assert found(project, "dvc.yaml", at="sub") == {"c": ("run.py",)}
    with pytest.raises(UserError, match="'no'"):
        found(project, "no")


def test_stages_of_templates_are_looked_at_as_dvc_expands_them(project: Project) -> None:
    project.write({"params.yaml": "where: lib\n", "lib/a.py": "import c", "lib/b.py": "", "lib/c.py": ""})
    each = {"cmd": "python ${where}/${item}.py", "deps": ["${where}/${item}.py"], "outs": ["o-${item}"]}
    project.pipeline({"s": {"foreach": ["a", "b"], "do": each}})
    assert found(project) == {"s@a": ("lib/c.py",)}


@pytest.mark.parametrize("wdir", [None, "sub", "sub/deeper"])
@pytest.mark.parametrize("many", [{}, {"matrix": {"n": [1, 2]}}])
def test_what_was_added_is_enough(project: Project, wdir: str | None, many: dict[str, object]) -> None:
    """And the stage is the same else."""
    folder = wdir or "."
    project.write({f"{folder}/{name}": text for name, text in CODE.items()})
    name = "o-${item.n}" if many else "o"
    stage = {**many, "cmd": "python run.py", "deps": ["run.py"], "outs": [name]}
    project.pipeline({"s": stage | ({"wdir": wdir} if wdir else {}), "t": {"cmd": "true", "outs": ["other"]}})
    before = (project.root / "dvc.yaml").read_text()
    added = fixed(project)
    assert set(added) == ({"s@1", "s@2"} if many else {"s"})
    assert set(added.values()) == {tuple(str(Path(folder, "lib", each)) for each in ("one.py", "two.py"))}
    assert found(project) == {}
    assert (project.root / "dvc.yaml").read_text().replace(", lib/one.py, lib/two.py", "") == before


def test_a_module_above_the_working_directory(project: Project) -> None:
    project.write({"lib/a.py": "", "sub/run.py": "import a"})
    project.pipeline(
        {"s": {"wdir": "sub", "cmd": "PYTHONPATH=../lib python run.py", "deps": ["run.py"], "outs": ["o"]}}
    )
    assert fixed(project) == {"s": ("lib/a.py",)}
    assert "deps: [run.py, ../lib/a.py]\n" in (project.root / "dvc.yaml").read_text()
    assert found(project) == {}


def test_items_that_run_in_several_folders_have_no_line_in_common(project: Project) -> None:
    project.write({"lib/a.py": "", "one/run.py": "import a", "two/deep/run.py": "import a"})
    each = {"wdir": "${item}", "cmd": "PYTHONPATH=../lib:../../lib python run.py", "deps": ["run.py"], "outs": ["o"]}
    project.pipeline({"s": {"foreach": ["one", "two/deep"], "do": each}})
    before = (project.root / "dvc.yaml").read_bytes()
    with pytest.raises(
        UserError, match=r"^dvc.yaml: stage 's': its items .*; add by hand: ../lib/a.py, ../../lib/a.py$"
    ):
        fixed(project)
    assert (project.root / "dvc.yaml").read_bytes() == before


def test_nothing_is_written_if_one_file_has_no_place_for_it(project: Project) -> None:
    project.write(CODE)
    project.pipeline({"s": {"cmd": "python run.py", "outs": ["o"]}})
    shared = "stages:\n  t:\n    cmd: python ../run.py\n    deps: &d [../run.py]\n    outs: [o]\n"
    project.write({"sub/dvc.yaml": f"{shared}  u:\n    cmd: 'true'\n    deps: *d\n    outs: [p]\n"})
    before = {path: path.read_bytes() for path in project.root.rglob("dvc.yaml")}
    with pytest.raises(
        UserError, match=r"^sub/dvc.yaml: stage 't': .*; add by hand: \.\./lib/one.py, \.\./lib/two.py$"
    ):
        fixed(project)
    assert {path: path.read_bytes() for path in project.root.rglob("dvc.yaml")} == before


def test_dvc_tells_what_is_wrong_with_a_file(project: Project) -> None:
    project.write({"dvc.yaml": "stages: [\n"})
    with pytest.raises((UserError, DvcException), match=r"dvc\.yaml"):
        found(project)
