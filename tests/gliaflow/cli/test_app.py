"""The command as a whole: help, versions, completion, misspellings, and how it ends."""

import errno
import io
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from rich.console import Console

import gliaflow
from gliaflow.cli import app as cli
from gliaflow.errors import CommandFailed, Interrupted, NotReproduced, TransientError, UserError
from gliaflow.signals import ENDING
from tests.support.repos import GLIAFLOW, environment

NAMES = [name for names in cli.COMMANDS.values() for name in names]
HEAVY = ("dvc", "markdown_it", "prefect", "pydantic")
ASK = """
source "$0"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_gliaflow
echo "${COMPREPLY[@]}"
"""


def python(code: str) -> str:
    """What a fresh Python prints that runs the code."""
    line = [sys.executable, "-c", code]
    return subprocess.run(line, capture_output=True, text=True, check=True, env=environment(Path())).stdout


def ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *line: str) -> tuple[int, str]:
    """The exit code of a command that fails, and what it said; nothing was printed to standard output."""
    monkeypatch.setattr(sys, "argv", ["gliaflow", *line])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    said = capsys.readouterr()
    assert said.out == ""
    assert isinstance(caught.value.code, int)
    return caught.value.code, said.err


def helped(*names: str) -> str:
    """The help of a command, in one line as wide as it takes."""
    console = Console(file=io.StringIO(), width=1000)
    cli.app.help_print(names, console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_each_help_shows_an_example_that_parses(name: str) -> None:
    example = re.findall(r"^Example: gliaflow (.*)$", helped(name), re.MULTILINE)
    assert len(example) == 1
    words = shlex.split(example[0].partition(">")[0])
    assert words[0] == name
    command, _, _ = cli.app.parse_args(words, exit_on_error=False, print_error=False)
    assert command.__name__ == name


@pytest.mark.parametrize("name", NAMES)
def test_each_parameter_is_told(name: str) -> None:
    cli.app[name]
    for argument in cli.app[name].assemble_argument_collection(parse_docstring=True):
        assert not argument.show or argument.parameter.help, argument.name


@pytest.mark.parametrize(
    ("name", "usage"),
    [
        ("repro", "gliaflow repro [OPTIONS] [TARGETS...]"),
        ("status", "gliaflow status [OPTIONS] [TARGETS...]"),
        ("versions", "gliaflow versions [OPTIONS] [NAME]"),
        ("get", "gliaflow get [OPTIONS] NAME"),
    ],
)
def test_the_usage_names_what_may_follow(capsys: pytest.CaptureFixture[str], name: str, usage: str) -> None:
    cli.app([name, "--help"], result_action="return_value")
    assert capsys.readouterr().out.splitlines()[0] == f"Usage: {usage}"


def test_the_help_of_all_names_each_command_with_what_it_does() -> None:
    said = subprocess.run(
        [*GLIAFLOW, "--help"], capture_output=True, text=True, check=True, env=environment(Path())
    ).stdout
    for name in NAMES:
        assert re.search(rf"^│ {name} +[A-Z]", said, re.MULTILINE), said
    alone = subprocess.run(GLIAFLOW, capture_output=True, text=True, check=True, env=environment(Path())).stdout
    assert alone == said


@pytest.mark.parametrize("line", [["--help"], ["repro", "--help"], ["rpero"]])
def test_help_and_misspellings_load_neither_dvc_nor_prefect(line: list[str]) -> None:
    code = f"""
import sys
from gliaflow.cli.app import main
sys.argv = ["gliaflow", *{line}]
try:
    main()
except SystemExit:
    pass
print("loaded:", [name for name in {HEAVY} if name in sys.modules])
"""
    assert python(code).endswith("loaded: []\n")


def test_the_version_takes_no_command_line() -> None:
    said = python(
        "import sys; sys.argv = ['gliaflow', '--version']\n"
        "from gliaflow.__main__ import main; main(); print('cyclopts' in sys.modules)"
    )
    assert said == f"{gliaflow.__version__}\nFalse\n"


def test_the_version_below_a_command_is_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["gliaflow", "repro", "--version"])
    with pytest.raises(SystemExit, match="0"):
        cli.main()
    assert capsys.readouterr() == (f"{gliaflow.__version__}\n", "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (["rpero"], 'Unknown command "rpero". Did you mean "repro"?'),
        (["metric"], 'Did you mean "metrics"?'),
        (["repro", "--job", "2"], "Unknown option: --job. Did you mean --jobs?"),
        (["repro", "--keep-goin"], "Did you mean --keep-going?"),
        (["repro", "--no-prefct"], "Did you mean --no-prefect?"),
        (["status", "--jsno"], "Did you mean --json?"),
        (["push", "--verfy"], "Did you mean --verify?"),
        (["pool", "gpu", "--type", "proces"], "--type is 'proces', which Prefect does not know; did you mean process?"),
        (["completion", "bsh"], 'Did you mean "bash"?'),
        (["repro", "--jobs", "two"], 'Invalid value for --jobs: unable to convert "two" into int.'),
        (["diff", "v1"], 'Command "diff" parameter NEW requires an argument.'),
    ],
)
def test_a_misspelling_has_the_nearest_on_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], line: list[str], said: str
) -> None:
    code, error = ended(monkeypatch, capsys, *line)
    assert code == 2
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("no"), 2, "error: no\n"),
        (TransientError("later"), 75, "error: later\n"),
        (NotReproduced(["a"], CommandFailed("false", 1)), 1, "error: failed to reproduce 'a': exited with 1: false"),
        (OSError(errno.ENOSPC, "No space left", "x"), 2, "error: x: No space left; free some space and run it again\n"),
        (TimeoutError("too late"), 2, "error: too late\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
        (Interrupted(signal.SIGHUP), 129, "error: ended by SIGHUP\n"),
    ],
)
def test_how_it_ends(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    said: str,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(cli, "app", fail)
    found, told = ended(monkeypatch, capsys, "repro")
    assert found == code
    assert told.startswith(said)
    assert told.count("\n") == 1


def ending(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object]) -> None:
    """Run a command that does no more than this."""

    def command(*_: object, **__: object) -> None:
        act()

    monkeypatch.setattr(cli, "app", command)
    monkeypatch.setattr(sys, "argv", ["gliaflow", "repro"])
    cli.main()


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_ends_a_command_as_ctrl_c_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    def act() -> None:
        try:
            signal.raise_signal(number)
        finally:
            signal.raise_signal(number)  # a closed terminal tells of it twice

    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as caught:
        ending(monkeypatch, act)
    assert caught.value.code == 128 + number
    assert capsys.readouterr() == ("", f"error: ended by {number.name}\n")
    assert signal.getsignal(number) == before


def test_a_signal_that_comes_again_after_long_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first one may have come where Python lets nothing be raised."""
    monkeypatch.setattr("gliaflow.signals.ORDERLY_SECONDS", -1.0)

    def act() -> None:
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)

    with pytest.raises(SystemExit, match="129"):
        ending(monkeypatch, act)


def test_what_is_ignored_from_the_start_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ending(monkeypatch, lambda: signal.raise_signal(signal.SIGHUP))
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, lambda: Interrupted(signal.SIGHUP)])
def test_what_an_interrupt_left_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: Callable[[], KeyboardInterrupt]
) -> None:
    def act() -> None:
        first = kind()
        first.add_note("what 'a' wrote may be half-written")
        try:
            raise first
        finally:
            second = kind()
            second.add_note("what 'a' wrote may be half-written")
            raise second

    with pytest.raises(SystemExit):
        ending(monkeypatch, act)
    assert capsys.readouterr().err.endswith("; what 'a' wrote may be half-written\n")


def test_a_terminal_that_is_gone_hides_no_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Gone(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.EIO, "Input/output error", text[:0] or None)

        def fileno(self) -> int:
            return spare

    def act() -> None:
        try:
            signal.raise_signal(signal.SIGHUP)
        finally:
            sys.stdout.write("the last frame")

    spare = os.open(os.devnull, os.O_WRONLY)
    monkeypatch.setattr(sys, "stdout", Gone())
    monkeypatch.setattr(sys, "stderr", Gone())
    with pytest.raises(SystemExit) as caught:
        ending(monkeypatch, act)
    assert caught.value.code == 129
    os.close(spare)


def test_a_bug_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["gliaflow", "repro"])
    with pytest.raises(ZeroDivisionError):
        cli.main()


def test_who_hears_no_more_gets_no_complaint() -> None:
    read, write = os.pipe()
    os.close(read)
    line = [*GLIAFLOW, "completion", "bash"]
    gone = subprocess.run(line, stdout=write, stderr=subprocess.PIPE, check=False, env=environment(Path()))
    os.close(write)
    assert (gone.returncode, gone.stderr) == (cli.UNHEARD, b"")


def test_what_an_encoding_lacks_is_no_error() -> None:
    variables = environment(Path()) | {"PYTHONIOENCODING": "ascii"}
    said = subprocess.run([*GLIAFLOW, "--help"], capture_output=True, check=True, env=variables).stdout
    assert b"repro" in said


def test_only_the_command_changes_the_environment() -> None:
    modules = ", ".join(f"gliaflow.cli.{name}" for name in [*cli.COMMANDS, "flags", "screen"])
    code = f"""
import os
for name in {list(cli.TELEMETRY)}:
    os.environ.pop(name, None)
before = dict(os.environ)
import gliaflow.api, {modules}
print(dict(os.environ) == before)
"""
    assert python(code) == "True\n"


def test_telemetry_is_off_unless_the_user_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "app", lambda *_, **__: None)
    monkeypatch.setattr(sys, "argv", ["gliaflow", "repro"])
    monkeypatch.setenv("DO_NOT_TRACK", "0")
    monkeypatch.delenv("DVC_NO_ANALYTICS", raising=False)
    monkeypatch.delenv("PREFECT_SERVER_ANALYTICS_ENABLED", raising=False)
    cli.main()
    assert {name: os.environ[name] for name in cli.TELEMETRY} == {**cli.TELEMETRY, "DO_NOT_TRACK": "0"}


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script for bash."""
    path = tmp_path_factory.mktemp("completion") / "gliaflow"
    with path.open("w") as file:
        subprocess.run([*GLIAFLOW, "completion", "bash"], stdout=file, check=True, env=environment(Path()))
    return path


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("gliaflow re", "repro report"),
        ("gliaflow repro --jo", "--jobs"),
        ("gliaflow repro --force", "--force --force-downstream"),
        ("gliaflow completion b", "bash"),
    ],
)
def test_bash_completes(script: Path, words: str, found: str) -> None:
    said = subprocess.run(["bash", "-c", ASK, str(script), *words.split()], capture_output=True, text=True, check=True)
    assert (said.stdout, said.stderr) == (f"{found}\n", "")


@pytest.mark.parametrize(("shell", "said"), [("zsh", "#compdef gliaflow"), ("fish", "complete -c gliaflow")])
def test_other_shells_have_scripts(capsys: pytest.CaptureFixture[str], shell: str, said: str) -> None:
    cli.completion(shell)  # type: ignore[arg-type]
    assert said in capsys.readouterr().out
