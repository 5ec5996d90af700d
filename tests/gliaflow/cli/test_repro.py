"""`gliaflow repro` and `gliaflow status`: the flags of `dvc repro`, what is printed, and what a program reads."""

import json
from argparse import SUPPRESS
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dvc.cli.parser import get_main_parser

from gliaflow.cli.app import app
from gliaflow.cli.repro import Flags, Planned, check, repro, status
from gliaflow.core.options import Options
from gliaflow.errors import NotDeclared, NotReproduced, UserError
from tests.support.repos import Project, copies


@pytest.fixture
def pipeline(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two stages after another, of which nothing has run; the working directory is theirs."""
    project.write({"seed.txt": "1\n"})
    project.pipeline({"first": copies("seed.txt", "a.txt"), "second": copies("a.txt", "b.txt")})
    monkeypatch.chdir(project.root)
    return project


def run(*targets: str, **given: Any) -> None:
    """`gliaflow repro --no-prefect`."""
    repro(*targets, prefect=False, **given)


def document(capsys: pytest.CaptureFixture[str]) -> tuple[Any, list[str]]:
    """What a program reads, and the lines that a person got beside it."""
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    return json.loads(said.out), said.err.splitlines()


def dvc_flags() -> set[str]:
    """The flags that `dvc repro --help` tells, and `--cd`."""
    (commands,) = (action for action in get_main_parser()._actions if isinstance(action.choices, dict))
    assert commands.choices
    actions = commands.choices["repro"]._actions
    told = (action for action in actions if action.help != SUPPRESS)
    return {name for action in told for name in action.option_strings} | {"--cd"}


def test_every_flag_of_dvc_repro_is_there() -> None:
    ours = {name for argument in app["repro"].assemble_argument_collection() for name in argument.names}
    assert dvc_flags() - ours == {"-h", "--help"}


def test_status_takes_the_flags_that_mean_something_to_it() -> None:
    ours = {name for argument in app["status"].assemble_argument_collection() for name in argument.names}
    run_alone = {"--pull", "--dry", "--interactive", "-i", "--keep-going", "-k", "--ignore-errors", "--no-commit"}
    assert dvc_flags() - ours - run_alone == {"-h", "--help", "-q", "--quiet", "-v", "--verbose"}
    assert not ours & run_alone


def test_flags_are_the_keywords_of_dvc() -> None:
    assert Planned().options() == Options()
    assert Flags().options() == Options()
    switched = {flag.name: True for flag in fields(Flags) if flag.name not in ("keep_going", "ignore_errors")}
    options = Flags(**switched).options()
    assert options.run_cache is False
    assert all(getattr(options, name) for name in switched if name != "no_run_cache")
    assert Flags(keep_going=True).options().on_error == "keep-going"
    assert Flags(ignore_errors=True).options().on_error == "ignore"


def test_short_flags_may_stand_together() -> None:
    _, bound, _ = app.parse_args(["repro", "-fks", "a", "--cd", "sub", "--executor", "x", "--executor", "y"])
    assert bound.args == ("a",)
    assert bound.kwargs["flags"] == Flags(force=True, keep_going=True, single_item=True)
    assert (bound.kwargs["repo"], bound.kwargs["executor"]) == (Path("sub"), ("x", "y"))


def test_a_person_sees_what_became_of_each_stage(pipeline: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    said = capsys.readouterr()
    assert said.err == ""
    lines = said.out.splitlines()
    assert lines[0] == "first > cp seed.txt a.txt"
    assert lines[1].startswith("first: ran in ")
    assert lines[-1] == "2 ran"
    pipeline.clean()
    run("second", repo=pipeline.root)
    assert capsys.readouterr().out == "Data and pipelines are up to date.\n2 unchanged\n"


@pytest.mark.usefixtures("pipeline")
def test_quiet_prints_nothing_and_verbose_names_what_is_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    run("first", quiet=True)
    assert capsys.readouterr() == ("", "")
    repro(quiet=True, flags=Flags(dry=True))
    assert capsys.readouterr() == ("", "")
    run(verbose=True)
    assert "first: unchanged" in capsys.readouterr().out.splitlines()
    with pytest.raises(UserError, match="--quiet and --verbose contradict each other"):
        run(quiet=True, verbose=True)


@pytest.mark.usefixtures("pipeline")
def test_a_program_reads_the_report(capsys: pytest.CaptureFixture[str]) -> None:
    run("first", quiet=True)
    run(as_json=True)
    found, lines = document(capsys)
    assert found["reproduced"] == ["second"]
    assert found["failed"] == []
    first, second = found["stages"]
    assert (first["stage"], first["outcome"]) == ("first", "unchanged")
    assert (second["outcome"], second["tail"]) == ("run", [])
    assert second["outputs"].keys() == {"b.txt"}
    assert 0 <= second["seconds"] < 60
    assert "second > cp a.txt b.txt" in lines


def test_a_program_reads_what_failed(pipeline: Project, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 500
    pipeline.pipeline({"first": copies("seed.txt", "a.txt") | {"cmd": f"echo {long} && false"}})
    with pytest.raises(NotReproduced, match="failed to reproduce 'first'"):
        run(as_json=True)
    found, _ = document(capsys)
    assert found["failed"] == ["first"]
    assert found["stages"][0]["outcome"] == "failed"
    assert long in found["stages"][0]["tail"]


def test_dry_tells_what_status_tells(pipeline: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run("first", quiet=True)
    repro(flags=Flags(dry=True))
    said = capsys.readouterr().out
    assert said == "first: unchanged\nsecond: to run: it is in no dvc.lock yet\n"
    status()
    assert capsys.readouterr().out == said
    expected = [
        {"stage": "first", "outcome": "unchanged", "why": ""},
        {"stage": "second", "outcome": "run", "why": "it is in no dvc.lock yet"},
    ]
    for ask in (partial(status, as_json=True), partial(repro, flags=Flags(dry=True), as_json=True)):
        ask()
        assert document(capsys) == (expected, [])
    assert not (pipeline.root / "b.txt").exists()


def test_data_that_is_missing_is_told_as_such_and_so_is_what_follows(
    pipeline: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    (pipeline.root / "seed.txt").unlink()
    lacks = "stage 'first' reads 'seed.txt', which is not there and which no stage declares as an output"
    status()
    first, second, hint = capsys.readouterr().out.splitlines()
    assert first.startswith(f"first: will fail: {lacks}")
    assert second == "second: to skip: 'first' will fail"
    assert "--keep-going runs all that does not depend on what failed" in hint
    status(as_json=True)
    found, _ = document(capsys)
    assert [one["outcome"] for one in found] == ["failed", "skipped"]
    with pytest.raises(NotReproduced, match=lacks):
        run()


def test_a_program_is_told_what_is_not_certain(pipeline: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run(quiet=True)
    pipeline.write({"seed.txt": "2\n"})
    status(as_json=True)
    found, _ = document(capsys)
    assert found == [
        {"stage": "first", "outcome": "run", "why": "seed.txt changed"},
        {"stage": "second", "outcome": "run", "certain": False, "why": "upstream first will run"},
    ]
    status()
    assert capsys.readouterr().out.splitlines()[1] == "second: may run: upstream first will run"


def test_dry_says_that_it_asked_no_remote(pipeline: Project, capsys: pytest.CaptureFixture[str]) -> None:
    repro("second", flags=Flags(dry=True, pull=True), repo=pipeline.root, as_json=True)
    assert "--pull may fetch what is said here to run" in document(capsys)[1][0]


def test_an_executor_that_nobody_brings(pipeline: Project) -> None:
    with pytest.raises(UserError, match=r"there is no executor 'nobodys'; there are: .*pools"):
        repro(executor=("nobodys",))
    assert not (pipeline.root / "a.txt").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("slurm:none", r"slurm-none\.toml: no such profile"),
        ("pools:none", "the executor 'pools' has no profiles; leave :none out"),
    ],
)
def test_a_profile_of_an_executor_that_is_not_there(pipeline: Project, name: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        repro(executor=(name,))
    assert not (pipeline.root / "a.txt").exists()


def test_dry_tells_what_an_executor_would_submit(pipeline: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run("first", quiet=True)
    pipeline.write({".gliaflow/slurm-big.toml": 'partition = "big"\n'})
    repro(executor=("slurm:big",), flags=Flags(dry=True))
    head, second, *script = capsys.readouterr().out.splitlines()
    assert (head, second) == ("first: unchanged", "second: to run: it is in no dvc.lock yet")
    assert script[:2] == ["#!/bin/sh", "# stage second"]
    assert "#SBATCH --partition=big" in script
    repro(slurm=True, flags=Flags(dry=True), as_json=True)
    found, _ = document(capsys)
    assert "script" not in found[0]
    assert f"#SBATCH --chdir={pipeline.root}" in found[1]["script"]


def test_a_profile_makes_an_executor_the_default(
    pipeline: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.write({".gliaflow/slurm.toml": "default = true\n"})
    repro(flags=Flags(dry=True))
    assert "#SBATCH" in capsys.readouterr().out
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(UserError, match="sbatch is not on the PATH"):
        run()
    monkeypatch.undo()
    run(slurm=False, repo=pipeline.root)
    assert (pipeline.root / "b.txt").exists()


def test_a_line_of_a_stage_is_whole_where_no_terminal_is(pipeline: Project) -> None:
    long = "y" * 1000
    pipeline.pipeline({"first": copies("seed.txt", "a.txt") | {"cmd": f"echo {long} && cp seed.txt a.txt"}})
    pipeline.environment |= {"COLUMNS": "40", "FORCE_COLOR": "1"}
    said = pipeline.flow("--cd", str(pipeline.root))
    assert f"first | {long}" in said.stdout.splitlines()
    assert "\x1b" not in said.stdout


@pytest.fixture
def imports(pipeline: Project) -> Project:
    """A stage that imports a module which it does not declare."""
    pipeline.write({"run.py": "import a\nopen('o', 'w').close()\n", "a.py": ""})
    pipeline.pipeline({"s": {"cmd": "python run.py", "deps": ["run.py"], "outs": ["o"]}})
    return pipeline


@pytest.mark.usefixtures("imports")
def test_check_names_what_is_not_declared_until_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotDeclared, match=r"^1 imported file of 1 stage is not declared; `gliaflow check --fix` adds"):
        check()
    assert capsys.readouterr().out == "s imports a.py, which is none of its deps\n"
    check("s", fix=True)
    assert capsys.readouterr().out == "s now has a.py among its deps\n"
    check(fix=True)
    check()
    assert capsys.readouterr().out == "Stages declare all that their Python programs import.\n" * 2


@pytest.mark.usefixtures("imports")
def test_a_program_reads_what_check_found(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(NotDeclared) as caught:
        check(as_json=True)
    assert (caught.value.exit_code, caught.value.files) == (1, {"s": ("a.py",)})
    stages = [{"stage": "s", "imports": ["a.py"]}]
    assert document(capsys)[0] == {"undeclared": stages, "fixed": False}
    check(fix=True, as_json=True)
    assert document(capsys)[0] == {"undeclared": stages, "fixed": True}
    check(as_json=True)
    assert document(capsys)[0] == {"undeclared": [], "fixed": False}


@pytest.mark.usefixtures("imports")
def test_check_tells_what_is_wrong_with_a_target_or_a_folder() -> None:
    with pytest.raises(UserError, match="'no'"):
        check("no")
    with pytest.raises(UserError, match="is no folder"):
        check(repo=Path("nowhere"))


def test_audit_shows_what_a_stage_opened(imports: Project, capsys: pytest.CaptureFixture[str]) -> None:
    run(audit=True)
    assert capsys.readouterr().out.splitlines()[-2:] == ["1 ran", "s read a.py, which is none of its deps"]
    run(audit=True, as_json=True, flags=Flags(force=True))
    assert document(capsys)[0]["stages"][0]["undeclared"] == {"read": ["a.py"], "wrote": []}
    imports.clean()
