"""Whether programs can start, each obstacle told from the others; and what is told of one that failed."""

import os
import platform
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gliaflow.errors import CannotRun, UserError
from gliaflow.machine.programs import check_folder, check_program, check_shell, obstacle, telling, why_not_run

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
    assert str(caught.value) == f"there is no command '{program}'; install it or change `cmd:`"


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


# What keeps a program from starting

NOBODY = 65534
OTHER_CPU = "s390x" if platform.machine() != "s390x" else "riscv64"
MACHINES = {"s390x": 22, "riscv64": 243}


def elf(loader: str = "", cpu: int | None = None) -> bytes:
    """The beginning of a program for 64 bits, for this CPU if no other is given."""
    head = bytearray(Path("/proc/self/exe").read_bytes()[:64])
    if cpu is not None:
        head[18:20] = cpu.to_bytes(2, "little")
    head[32:40] = (64).to_bytes(8, "little")
    head[54:58] = (56).to_bytes(2, "little") + (1 if loader else 0).to_bytes(2, "little")
    table = (3).to_bytes(4, "little") + bytes(4) + (120).to_bytes(8, "little") + bytes(16)
    table += (len(loader) + 1).to_bytes(8, "little") + bytes(16)
    return bytes(head) + (table + loader.encode() + b"\0" if loader else b"") + bytes(64)


FILES: dict[str, tuple[bytes, int]] = {
    "no-x": (b"#!/bin/sh\n", 0o644),
    "bad": (b"#!/no/such/interpreter -u\necho hi\n", 0o755),
    "flat": (b"#!/no-such\n", 0o755),
    "text": (b"#!./no-x\n", 0o755),
    "crlf": (b"#!/bin/sh\r\necho hi\r\n", 0o755),
    "env": (b"#!/usr/bin/env python9\n", 0o755),
    "env-s": (b"#!/usr/bin/env -S python9 -u\n", 0o755),
    "env-set": (b"#!/usr/bin/env -S PATH=/opt python9\n", 0o755),
    "fine": (b"#!/usr/bin/env sh\necho hi\n", 0o755),
    "bare": (b"echo hi\n", 0o755),
    "empty": (b"", 0o755),
    "python": (b"import sys\nprint(sys.path)\nif True: pass\n", 0o755),
    "junk": (b"\0\1\2\3 no program", 0o755),
    "musl": (elf("/lib/ld-no-such.so.1"), 0o755),
    "other": (elf(cpu=MACHINES[OTHER_CPU]), 0o755),
}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """Files that start, or do not, each for a reason of its own; `tools` is a folder of others on the PATH."""
    for name, (content, mode) in FILES.items():
        (tmp_path / name).write_bytes(content)
        (tmp_path / name).chmod(mode)
    (tmp_path / "folder").mkdir()
    (tmp_path / "astray").symlink_to("nowhere")
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "tools").mkdir()
    for name, (content, mode) in FILES.items():
        (tmp_path / "tools" / f"on-{name}").write_bytes(content)
        (tmp_path / "tools" / f"on-{name}").chmod(mode)
    return tmp_path


OBSTACLES = {
    "./none": (127, "there is no command './none'; install it or change `cmd:`"),
    "none": (127, "there is no command 'none'; install it or change `cmd:`"),
    "./no-x": (126, "'./no-x' is not executable; chmod +x ./no-x"),
    "./folder": (126, "'./folder' is a folder, no program; change `cmd:`"),
    "./folder/": (126, "'./folder/' is a folder, no program; change `cmd:`"),
    "./bad": (127, "'./bad' needs /no/such/interpreter, which is not there; change its #! line"),
    "./flat": (127, "'./flat' needs /no-such, which is not there; change its #! line"),
    "./text": (126, "'./text' needs ./no-x, which is not executable; change its #! line"),
    "./crlf": (127, "the first line of './crlf' ends in a carriage return; save it with Unix line ends"),
    "./musl": (127, "'./musl' needs the loader /lib/ld-no-such.so.1, which is not there; install it"),
    "./astray": (127, "'./astray' is a link to 'nowhere', which is not there; change the link or `cmd:`"),
    "./circle": (126, "'./circle' cannot be reached: Too many levels of symbolic links; change `cmd:`"),
    "./no-x/deeper": (126, "'./no-x/deeper' cannot be reached: Not a directory; change `cmd:`"),
    "no-x": (127, "there is no command 'no-x' on the PATH; call the file of this folder ./no-x"),
    "./env": (127, "'./env' needs the command 'python9', which is not there; install it or change its #! line"),
    "./env-s": (127, "'./env-s' needs the command 'python9', which is not there; install it or change its #! line"),
}


def environ(folder: Path) -> dict[str, str]:
    return {"PATH": f"tools{os.pathsep}{os.defpath}", "HOME": str(folder)}


@pytest.mark.parametrize("word", OBSTACLES)
def test_each_obstacle_is_told_from_the_others(tools: Path, word: str) -> None:
    found = obstacle(word, str(tools), environ(tools))
    assert found
    assert (found.code, str(found)) == OBSTACLES[word]
    with pytest.raises(CannotRun) as caught:
        check_program(f"{word} --flag", SHELL, str(tools), environ(tools))
    assert str(caught.value) == OBSTACLES[word][1]
    assert (caught.value.command, caught.value.code) == (f"{word} --flag", OBSTACLES[word][0])


@pytest.mark.parametrize("word", ["./fine", "./bare", "./empty", "./python", "./junk", "./env-set", "on-fine", "sh"])
def test_what_may_start_is_tried(tools: Path, word: str) -> None:
    assert obstacle(word, str(tools), environ(tools)) is None


@pytest.mark.parametrize(("word", "what"), [("on-no-x", "is not executable"), ("on-bad", "needs /no/such/interpreter")])
def test_a_program_on_the_path_is_looked_at_as_well(tools: Path, word: str, what: str) -> None:
    found = obstacle(word, str(tools), environ(tools))
    assert found
    assert found.what.startswith(f"'{tools}/tools/{word}' {what}")


def test_one_that_executes_comes_before_one_of_that_name_that_does_not(tools: Path) -> None:
    (tools / "folder/on-no-x").write_text("#!/bin/sh\n")
    (tools / "folder/on-no-x").chmod(0o755)
    assert obstacle("on-no-x", str(tools), {"PATH": "tools:folder"}) is None


def test_a_file_system_that_executes_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "none", folder], check=False).returncode:
        pytest.skip("a file system of its own takes root")
    try:
        (folder / "own").write_text("#!/bin/sh\n")
        (folder / "own").chmod(0o755)
        found = obstacle("./own", str(folder), {})
        assert found
        assert found.what == "'./own' lies on a file system that is mounted noexec"
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def asked_as_nobody(ask: Callable[[], object]) -> str:
    """What a user without rights is told."""
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            if not os.geteuid():
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            os.write(write, str(ask()).encode())
        except UserError as error:
            os.write(write, str(error).encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(write)
    with os.fdopen(read) as told:
        return told.read()


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that everybody may enter."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_a_folder_that_may_not_be_entered(public: Path) -> None:
    (public / "closed").mkdir()
    (public / "closed/own").write_text("#!/bin/sh\n")
    (public / "closed/own").chmod(0o755)
    (public / "closed").chmod(0)
    told = asked_as_nobody(lambda: obstacle("closed/own", str(public), {}))
    assert told == f"'closed/own' cannot be reached: you may not enter '{public}/closed'; chmod it or change `cmd:`"
    told = asked_as_nobody(lambda: obstacle("own", str(public), {"PATH": "closed:/bin"}))
    assert told == "there is no command 'own'; install it or change `cmd:`"
    assert asked_as_nobody(lambda: obstacle("sh", str(public), {"PATH": "closed:/bin"})) == "None"
    for folder in ("closed", "closed/deeper"):
        told = asked_as_nobody(lambda folder=folder: check_folder(str(public / folder), "ls"))  # type: ignore[misc]
        assert "', in which 'ls' is to run, may not be entered by you; chmod it or change `wdir:`" in told
    (public / "closed").chmod(0o755)


def test_a_program_of_another_user(public: Path) -> None:
    (public / "own").write_text("#!/bin/sh\n")
    (public / "own").chmod(0o700)
    if os.geteuid():
        pytest.skip("a file of another user takes root")
    assert asked_as_nobody(lambda: obstacle("./own", str(public), {})) == (
        "'./own' is not executable for you; have its owner chmod it, or change `cmd:`"
    )


# The folder and the shell


def test_a_folder_to_run_in(tools: Path) -> None:
    check_folder(str(tools), "ls")
    with pytest.raises(UserError, match="in which 'ls' is to run, is not there; make it or change"):
        check_folder("/none", "ls")
    with pytest.raises(UserError, match=r"in which 'x{15}…x{14}' is to run, is no folder"):
        check_folder(str(tools / "no-x"), "x" * 99)


@pytest.mark.parametrize(
    ("shell", "why"),
    [
        ("/no/such/shell", "there is no command '/no/such/shell'"),
        ("nosuchshell", "there is no command 'nosuchshell'"),
        ("./no-x", "'./no-x' is not executable"),
        ("./folder", "'./folder' is a folder, no program"),
        ("/usr/sbin/nologin", ""),
        ("/bin/false", "'/bin/false' runs no commands"),
        ("/bin/true", "'/bin/true' runs no commands"),
    ],
)
def test_a_shell_that_cannot_start_is_told_with_where_it_is_named(tools: Path, shell: str, why: str) -> None:
    with pytest.raises(UserError) as caught:
        check_shell(shell, str(tools), environ(tools))
    assert str(caught.value).startswith(why)
    assert str(caught.value).endswith(", and SHELL names it: set SHELL to a shell, as /bin/sh")


@pytest.mark.parametrize("shell", ["/bin/sh", "sh", "/bin/bash"])
def test_a_shell_that_starts(tools: Path, shell: str) -> None:
    check_shell(shell, str(tools), environ(tools))


# One that failed

NO_LINE = "has no #! line, so the shell took it for its own; add one"
FAILURES = [
    ("true && none", 127, "there is no command 'none'"),
    ("true; ./no-x", 126, "'./no-x' is not executable"),
    ("true && ./folder", 126, "'./folder' is a folder, no program"),
    ("true && ./bad", 127, "'./bad' needs /no/such/interpreter, which is not there"),
    ("true && ./crlf", 127, "the first line of './crlf' ends in a carriage return"),
    ("true && ./env", 127, "there is no command 'python9'"),
    ("./other", 126, f"'./other' is a program for {OTHER_CPU}, and this machine is "),
    ("./junk", 126, "'./junk' is neither a script nor a program of this system"),
    ("./python", 2, f"'./python' {NO_LINE}"),
    ("exit 127", 127, ""),
    ("exit 126", 126, ""),
    ("exit 2", 2, ""),
    ("./bare && exit 2", 2, ""),
    ("cd folder && ../no-x", 126, ""),
    ("none || exit 3", 3, ""),
    ("sh -c 'exit 127'", 127, ""),
    ("echo 'fatal: abort' >&2; exit 127", 127, ""),
    ("echo 'sh: 1: abort: odd' >&2; exit 126", 126, ""),
    ("$NAME", 0, ""),
]


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.parametrize(("line", "code", "why"), FAILURES, ids=[line for line, _, _ in FAILURES])
def test_what_a_shell_could_not_start_is_found_behind_its_words(
    tools: Path, shell: str, line: str, code: int, why: str
) -> None:
    ended = subprocess.run(
        [shell, "-c", line], cwd=tools, env=environ(tools), capture_output=True, text=True, check=False
    )
    assert ended.returncode == code
    found = why_not_run(line, ended.stderr.splitlines(), code, shell, str(tools), environ(tools))
    assert str(found or "").startswith(why)
    assert bool(found) == bool(why)


TRACEBACK = """\
Traceback (most recent call last):
  File "train.py", line 3, in <module>
    main()
    ^^^^^^
  File "train.py", line 2, in main
    raise ValueError(text)
"""


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ""),
        ("a\nb", "b"),
        ("a\n\n  \n----\n", "a"),
        (TRACEBACK + "ValueError: no column", "ValueError: no column"),
        (TRACEBACK + "ValueError: two\nlines of it", "ValueError: two"),
        (TRACEBACK + "KeyError: 'x'\n\nDuring it:\n\n" + TRACEBACK + "ValueError: y", "ValueError: y"),
        (TRACEBACK + "ValueError: no column\nmake: *** [Makefile:2: all] Error 1", "ValueError: no column"),
        ('  File "x.py", line 1\n    f(\n     ^\nSyntaxError: never closed', "SyntaxError: never closed"),
        ("gcc: no input\nmake[1]: *** [all] Error 1\nmake: *** [sub] Error 2", "gcc: no input"),
        ("make: *** No rule to make target 'x'.  Stop.", "make: *** No rule to make target 'x'.  Stop."),
        ("Error in f() : no x\nCalls: f -> g\nExecution halted", "Error in f() : no x"),
        ("Error: no x\n    at main (a.js:1:1)\n    at run (b.js:2:2)\n\nNode.js v20.1.0", "Error: no x"),
        ("panicked at 'no x'\nnote: run with `RUST_BACKTRACE=1`", "panicked at 'no x'"),
        ("\x1b[31merror:\x1b[0m no \x1b]8;;http://x\x07x\x1b]8;;\x07\x1b[K", "error: no x"),
        ("loss 0.5\nTerminated", "Terminated"),
    ],
)
def test_the_line_that_tells_why(text: str, told: str) -> None:
    assert telling(text.splitlines()) == told
