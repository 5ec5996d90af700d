import os
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.machine.programs import check_program

SHELL = "/bin/sh"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stage's folder: an executable `sub/own`, a file `sub/text` that is none, and an executable `bin/far`."""
    for name, mode in (("sub/own", 0o755), ("sub/text", 0o644), ("bin/far", 0o755)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(mode)
    return tmp_path


def check(line: str, folder: Path, shell: str = SHELL, path: str = os.defpath) -> None:
    check_program(line, shell, str(folder), {"PATH": path})


@pytest.mark.parametrize(
    "line",
    [
        "ls",
        "  ls -l",
        "/bin/ls -l",
        "sub/own --flag",
        "./sub/own",
        "sub/../sub/own",
        "cd sub",
        "cd sub && ./own",
        "export A=1",
        "A=1 ls",
        "A=1 B=x/y:z.w cd sub",
        "A= ls",
        ". ./sub/own",
        "if true; then ls; fi",
        "for i in 1 2; do ls; done",
        "exec ls",
        "ls && no-such-program",
    ],
)
def test_what_the_shell_finds_passes(folder: Path, line: str) -> None:
    check(line, folder)


@pytest.mark.parametrize(
    ("line", "program"),
    [
        ("no-such-program", "no-such-program"),
        ("  no-such-program -x", "no-such-program"),
        ("A=1 B=2 no-such-program", "no-such-program"),
        ("no-such-program && ls", "no-such-program"),
        ("sub/none x", "sub/none"),
        ("./own", "./own"),
        ("/no/such/program", "/no/such/program"),
        ("own", "own"),
        ("far", "far"),
    ],
)
def test_a_missing_program_is_named_in_one_line(folder: Path, line: str, program: str) -> None:
    with pytest.raises(UserError) as caught:
        check(line, folder)
    assert str(caught.value) == (f"'{line}': there is no command '{program}'; install it or change `cmd:` in dvc.yaml")


def test_a_program_is_looked_up_on_the_path_of_the_stage(folder: Path) -> None:
    check("far", folder, path=f"{folder / 'bin'}{os.pathsep}{os.defpath}")
    with pytest.raises(UserError, match="'own'"):
        check("own", folder, path=f"{folder / 'bin'}{os.pathsep}{os.defpath}")


def test_a_path_begins_in_the_folder_of_the_stage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    check("./own", folder / "sub")
    with pytest.raises(UserError, match="'sub/own'"):
        check("sub/own", folder / "bin")


def test_a_file_that_is_not_executable_is_no_program_to_bash(folder: Path) -> None:
    with pytest.raises(UserError, match="'sub/text'"):
        check("sub/text", folder, shell="/bin/bash")


@pytest.mark.parametrize(("line", "found"), [("source ./sub/own", True), ("[[ -e sub ]]", True), ("own", False)])
def test_what_is_a_word_depends_on_the_shell(folder: Path, line: str, found: bool) -> None:
    if found:
        check(line, folder, shell="/bin/bash")
    else:
        with pytest.raises(UserError):
            check(line, folder, shell="/bin/bash")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "$PROGRAM x",
        "${HOME}/x y",
        "~/no-such-program",
        "'no such program' x",
        '"no-such-program" x',
        "`which x` y",
        "(no-such-program)",
        "{ no-such-program; }",
        "no-such-program;",
        "no-such-program&&ls",
        "no-such-program>log",
        "2>log no-such-program",
        "A='b c' no-such-program",
        "A=$B no-such-program",
        "A=1",
        "# a comment\nno-such-program",
        "! no-such-program",
        "no-such-pro*",
        "greet() { echo hi; }; greet",
    ],
)
def test_what_is_no_plain_word_is_left_to_the_shell(folder: Path, line: str) -> None:
    check(line, folder)


@pytest.mark.parametrize(
    "line",
    ["no-such-program -x || true", "no-such-program -x; ls", "no-such-program -x | cat", "no-such-program -x\nls"],
)
def test_what_may_fail_and_still_end_well_is_left_to_the_shell(folder: Path, line: str) -> None:
    check(line, folder)


def test_a_path_that_the_line_itself_sets_is_left_to_the_shell(folder: Path) -> None:
    check(f"PATH={folder / 'bin'} far", folder)


def test_a_function_may_have_a_space_before_its_parentheses(folder: Path) -> None:
    check("greet () { echo hi; }; greet", folder)


@pytest.mark.parametrize("name", ["fish", "tcsh"])
@pytest.mark.parametrize("line", ["cd sub", "set x = 1"])
def test_a_shell_of_another_language_is_not_asked(folder: Path, name: str, line: str) -> None:
    """It does not know `command -v`."""
    shell = folder / name
    shell.write_text("#!/bin/sh\nexit 1\n")
    shell.chmod(0o755)
    check(line, folder, shell=str(shell))
