"""The public names: each is there, told and typed; their signatures; and that importing them costs nothing."""

import inspect
import re
import subprocess
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gliaflow
from tests.support.repos import Project, copies, environment

SIGNATURES = {
    "reproduce": "(root: Path | str = '.', targets: Iterable[str] | str = (), *, options: Options = Options(),"
    " jobs: int | None = None, executors: Sequence[Executor | str] = (), listener: Listener | None = None,"
    " fallback: bool = False, prefect: bool = True, live: bool = False, audit: bool = False) -> Report",
    "status": "(root: Path | str = '.', targets: Iterable[str] | str = (), *, options: Options = Options(),"
    " executors: Sequence[Executor | str] = ()) -> list[Forecast]",
    "check": "(root: Path | str = '.', targets: Iterable[str] | str = (), *, fix: bool = False,"
    " say: Callable[[str], None] | None = None) -> dict[str, tuple[str, ...]]",
    "sweep": "(root: Path | str = '.', params: Sequence[str] = (), targets: Iterable[str] | str = (), *,"
    " rows: Path | str | None = None, name: str | None = None, options: Options = Options(), jobs: int | None = None,"
    " executors: Sequence[str] = (), copy_paths: Sequence[str] = (), message: str | None = None,"
    " at_once: int | None = None, hear: 'Callable[[Progress | Experiment], None] | None' = None,"
    " say: Callable[[str], None] | None = None, prefect: bool = True) -> SweepReport",
    "search": "(stage: str, space: Path | str, metric: str, root: Path | str = '.', *, minimize: bool = False,"
    " evolution: 'EvolutionOptions | None' = None, halving: 'Halving | None' = None, jobs: int | None = None,"
    " pull: bool = False, copy_paths: Sequence[str] = (),"
    " hear: 'Callable[[Progress | Experiment], None] | None' = None, say: Callable[[str], None] | None = None,"
    " prefect: bool = True) -> SearchReport",
    "gc": "(root: Path | str = '.', *, keep: Collection[str] = (), cloud: bool = False, remote: str | None = None,"
    " projects: Collection[Path | str] = (), dry: bool = False, say: Callable[[str], None] | None = None) -> Waste",
    "push": "(root: Path | str = '.', *, remote: str | None = None, jobs: int | None = None, verify: bool = False,"
    " say: Callable[[str], None] | None = None) -> Transfer",
    "fetch": "(root: Path | str = '.', *, remote: str | None = None, jobs: int | None = None,"
    " say: Callable[[str], None] | None = None) -> Transfer",
    "publish": "(name: str, root: Path | str = '.', *, licence: str | None = None, remote: str | None = None,"
    " say: Callable[[str], None] | None = None) -> Version",
    "versions": "(root: Path | str = '.', *, say: Callable[[str], None] | None = None) -> list[Version]",
    "version": "(name: str, root: Path | str = '.') -> Version",
    "get": "(name: str, out: Path | str | None = None, root: Path | str = '.', *, remote: str | None = None,"
    " say: Callable[[str], None] | None = None) -> Version",
    "compare": "(old: str, new: str, root: Path | str = '.', *, remote: str | None = None) -> Difference",
    "checkout": "(repository: str, rev: str) -> AbstractContextManager[Path]",
}
MODULES = re.compile(r"[a-z_]+\.(?=[a-zA-Z])")  # before the name of a type
QUOTED = re.compile(r"(?<=-> )'(.*)'$")
HEAVY = ("cyclopts", "dvc", "prefect", "pydantic", "rich")


def public(kind: Callable[[Any], bool]) -> list[str]:
    """The public names whose values are of that kind."""
    return [name for name in gliaflow.__all__ if kind(getattr(gliaflow, name))]


def run(code: str) -> str:
    """What a fresh Python prints that runs the code."""
    line = [sys.executable, "-c", code]
    return subprocess.run(line, capture_output=True, text=True, check=True, env=environment(Path())).stdout


def signature(name: str) -> str:
    """How a function is called, without the modules of types."""
    told = str(inspect.signature(getattr(gliaflow, name))).replace(repr(gliaflow.Options()), "Options()")
    return MODULES.sub("", QUOTED.sub(r"\1", told))


@pytest.mark.parametrize("name", gliaflow.__all__)
def test_every_name_is_there_and_told(name: str) -> None:
    assert inspect.getdoc(getattr(gliaflow, name))


def test_nothing_else_is() -> None:
    assert dir(gliaflow) == gliaflow.__all__ == sorted(gliaflow.__all__)
    with pytest.raises(AttributeError, match="no attribute 'reproduces'"):
        _ = gliaflow.reproduces


def test_the_signatures() -> None:
    assert {name: signature(name) for name in public(inspect.isfunction)} == SIGNATURES


@pytest.mark.parametrize("name", public(inspect.isfunction))
def test_a_function_tells_what_it_takes_returns_and_raises(name: str) -> None:
    function = getattr(gliaflow, name)
    told = inspect.getdoc(function) or ""
    arguments = told.partition("Args:\n")[2].partition("\n\n")[0]
    assert "\nReturns:\n" in told
    assert "\nRaises:\n" in told
    for parameter in inspect.signature(function).parameters:
        assert f"    {parameter}: " in arguments


@pytest.mark.parametrize("name", public(inspect.isclass))
def test_every_method_and_attribute_of_a_class_is_typed(name: str) -> None:
    cls = getattr(gliaflow, name)
    for attribute, value in vars(cls).items():
        function = value.fget if isinstance(value, property) else value
        if attribute.startswith("_") or not inspect.isfunction(function):
            continue
        told = typing.get_type_hints(function)
        assert {*inspect.signature(function).parameters, "return"} - {"self"} <= set(told), attribute


def test_importing_it_loads_neither_prefect_nor_dvc_nor_the_command_line() -> None:
    code = "import sys, gliaflow; print([name for name in {heavy} if name in sys.modules])"
    assert run(code.format(heavy=HEAVY)) == "[]\n"


def test_importing_it_changes_no_environment() -> None:
    assert (
        run("import os; before = dict(os.environ); import gliaflow.api; print(before == dict(os.environ))") == "True\n"
    )


def test_its_version_is_that_of_the_package() -> None:
    assert gliaflow.__version__.count(".") == 2


def test_a_checkout_is_a_folder_at_the_commit(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLIAFLOW_WORKSPACES", str(tmp_path / "workspaces"))
    project.write({"seed.txt": "1\n"})
    project.commit()
    with gliaflow.checkout(str(project.root), "master") as root:
        assert (root / "seed.txt").read_text() == "1\n"
    with pytest.raises(gliaflow.UserError), gliaflow.checkout(str(project.root), "nosuchbranch"):
        pass


def test_what_is_asked_of_a_library_prints_nothing(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt")})
    capsys.readouterr()
    heard: list[str] = []
    assert [one.outcome for one in gliaflow.status(project.root)] == [gliaflow.Outcome.RUN]
    with pytest.raises(gliaflow.UserError, match=r"gliaflow\.status tells what would run"):
        gliaflow.reproduce(project.root, options=gliaflow.Options(dry=True))
    assert gliaflow.reproduce(project.root, prefect=False).reproduced == ["s"]
    project.commit()
    assert gliaflow.push(project.root, say=heard.append) == gliaflow.Transfer(records=1, objects=1)
    assert gliaflow.fetch(project.root) == gliaflow.Transfer()
    version = gliaflow.publish("v1", project.root, licence="MIT")
    assert gliaflow.versions(project.root) == [gliaflow.version("v1", project.root)] == [version]
    assert gliaflow.get("v1", tmp_path / "v1", project.root) == version
    assert (tmp_path / "v1/o.txt").read_text() == "1\n"
    assert gliaflow.compare("v1", "v1", project.root).equal
    assert capsys.readouterr() == ("", "")
    assert heard == ["remote 'store' is new: its folder is made", "pushing 1 objects", "pushing 1 records of runs"]
