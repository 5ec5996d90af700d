"""How a run ends when something ends it, what it leaves, and what its stages read: each held against `dvc repro`."""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.support.patience import COMMAND_SECONDS, PATIENCE
from tests.support.repos import GLIAFLOW, Project, soon

REPRO = [*GLIAFLOW, "repro", "--no-prefect"]
MARK = "GLIAFLOW_SLOTS"


@pytest.fixture
def twins(new_project: Callable[..., Project]) -> tuple[Project, Project]:
    """Two repositories: one for the flow, one for DVC."""
    made = new_project("flow/twin"), new_project("dvc/twin")
    for project in made:
        project.write({"seed.txt": "1\n"})
    return made


def left_running(project: Project) -> list[list[str]]:
    """The processes that the project's runs started and that run now."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == project.environment[MARK] and process.pid != os.getpid():
                found.append(process.cmdline())
    return found


@pytest.fixture
def halfway(project: Project) -> Project:
    """One stage that ends, and after it one that writes half of its output and then waits."""
    half = "echo half > b.txt; (setsid sleep 1290 &); trap 'echo told > told.txt; exit 9' HUP INT TERM; touch begun; "
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            "a": {"cmd": "cp seed.txt a.txt", "deps": ["seed.txt"], "outs": ["a.txt"]},
            "b": {"cmd": f"{half} while :; do sleep 0.1; done", "deps": ["a.txt"], "outs": ["b.txt"]},
        }
    )
    return project


def carries_on(project: Project) -> None:
    """Nothing is left of what ended, and the next run makes anew what was half-written."""
    assert soon(lambda: not left_running(project)), left_running(project)
    lock = (project.root / "dvc.lock").read_text() if (project.root / "dvc.lock").exists() else ""
    assert "b:" not in lock
    b = {"cmd": "cat a.txt >> b.txt", "deps": ["a.txt"], "outs": ["b.txt"]}
    project.pipeline({"a": {"cmd": "cp seed.txt a.txt", "deps": ["seed.txt"], "outs": ["a.txt"]}, "b": b})
    said = project.flow().stdout
    assert "a > " not in said
    assert (project.root / "b.txt").read_text() == "1\n"
    project.clean()


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_a_signal_ends_the_run_and_its_stages_and_says_what_is_half_written(
    halfway: Project, number: signal.Signals
) -> None:
    with subprocess.Popen(
        REPRO, cwd=halfway.root, env=halfway.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as flow:
        assert soon(lambda: (halfway.root / "begun").exists())
        flow.send_signal(number)
        said, errors = flow.communicate(timeout=PATIENCE)
    assert flow.returncode == 128 + number
    how = "interrupted" if number == signal.SIGINT else f"ended by {number.name}"
    assert errors == f"error: {how}; what 'b' wrote may be half-written; the next run makes it anew\n"
    assert "b: failed: interrupted\n" in said
    assert (halfway.root / "told.txt").exists()
    assert (halfway.root / "b.txt").read_text() == "half\n"  # as `dvc repro` leaves it
    carries_on(halfway)


def test_a_signal_between_stages_says_nothing_of_half_an_output(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": "cp seed.txt o.txt", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    code = "import os, signal\nfrom gliaflow.cli import app\nfrom gliaflow import api\n"
    code += "api.run = lambda *_, **__: os.kill(os.getpid(), signal.SIGHUP)\n"
    code += "import sys; sys.argv = ['gliaflow', 'repro']; app.main()"
    ended = project.run(sys.executable, "-c", code, expect=128 + signal.SIGHUP)
    assert ended.stderr == "error: ended by SIGHUP\n"


def test_a_run_that_ignores_the_end_of_its_terminal_goes_on(halfway: Project) -> None:
    """As after `nohup`."""
    go = halfway.root / "go"
    line = "trap '' HUP; touch begun; until [ -e go ]; do sleep 0.05; done; cp a.txt b.txt"
    halfway.pipeline({"b": {"cmd": line, "deps": ["seed.txt"], "outs": ["b.txt"]}})
    halfway.write({"a.txt": "1\n"})
    ignoring = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *REPRO]
    with subprocess.Popen(ignoring, cwd=halfway.root, env=halfway.environment, stdout=subprocess.PIPE) as flow:
        assert soon(lambda: (halfway.root / "begun").exists())
        flow.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert flow.poll() is None
        go.touch()
        flow.communicate(timeout=PATIENCE)
    assert flow.returncode == 0
    halfway.clean()


class Terminal:
    """A terminal of its own, and what runs on it."""

    def __init__(self, line: list[str], project: Project) -> None:
        self.pid, self.end = pty.fork()
        if not self.pid:
            os.chdir(project.root)
            os.execve(line[0], line, project.environment | {"TERM": "xterm"})
        os.set_blocking(self.end, False)
        self.shown = b""

    def read(self, until: Callable[[], Any]) -> bool:
        """Take what is shown until something is so."""
        deadline = time.monotonic() + PATIENCE
        while not (found := until()) and time.monotonic() < deadline:
            with suppress(OSError):
                self.shown += os.read(self.end, 1 << 16)
            time.sleep(0.02)
        return bool(found)

    def wait(self) -> int:
        """The exit code, once it has ended."""
        codes: list[int] = []

        def ended() -> bool:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            codes.extend([os.waitstatus_to_exitcode(status)] if pid else [])
            return bool(codes)

        assert self.read(ended)
        return codes[0]


def test_a_terminal_that_is_closed_ends_the_run(halfway: Project) -> None:
    terminal = Terminal(REPRO, halfway)
    assert terminal.read((halfway.root / "begun").exists)
    os.close(terminal.end)
    assert terminal.wait() == 128 + signal.SIGHUP
    carries_on(halfway)


# The commands of a stage


def test_each_line_of_a_command_is_printed_as_it_begins(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": ["echo one", "printf two", "exit 3", "echo never"], "deps": ["seed.txt"]}})
    said = project.flow(expect=1).stdout.splitlines()
    assert said[:5] == ["s > echo one", "s | one", "s > printf two", "s | two", "s > exit 3"]
    assert "s > echo never" not in said


# What a stage reads


def asking(name: str, source: str) -> dict[str, Any]:
    """A stage that asks for a line."""
    return {"cmd": f"read -r x; echo got $x > {name}.txt", "deps": [source], "outs": [f"{name}.txt"]}


SIDE_BY_SIDE = {name: asking(name, "seed.txt") for name in "abc"}
CHAIN = {"a": asking("a", "seed.txt"), "b": asking("b", "a.txt"), "c": asking("c", "b.txt")}


def given(project: Project, line: list[str], text: str) -> "subprocess.CompletedProcess[str]":
    """Run a command that is sent a text."""
    root, environment = project.root, project.environment
    return subprocess.run(
        line, cwd=root, env=environment, input=text, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True
    )


@pytest.mark.parametrize(
    ("stages", "flags"), [(SIDE_BY_SIDE, ["-j", "1"]), (SIDE_BY_SIDE, ["-s", "a", "b", "c"]), (CHAIN, ["-j", "4"])]
)
def test_stages_that_run_alone_read_on_as_under_dvc(
    twins: tuple[Project, Project], stages: dict[str, Any], flags: list[str]
) -> None:
    text = "one\ntwo\nthree\nfour\n"
    for project in twins:
        project.pipeline(stages)
    flow, dvc = twins
    said = given(flow, [*REPRO, *flags], text).stdout
    given(dvc, [sys.executable, "-m", "dvc", "repro", *flags[flags[0] == "-j" and 2 :]], text)
    assert "standard input" not in said
    assert [(flow.root / f"{name}.txt").read_text() for name in "abc"] == ["got one\n", "got two\n", "got three\n"]
    assert flow.left() == dvc.left()


def test_a_file_is_read_on_as_well(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(CHAIN)
    answers = tmp_path / "answers"
    answers.write_text("one\ntwo\nthree\n")
    with answers.open() as file:
        subprocess.run([*REPRO, "-q"], cwd=project.root, env=project.environment, stdin=file, check=True)
    assert (project.root / "c.txt").read_text() == "got three\n"


@pytest.mark.parametrize(("text", "told"), [("yes\n", 1), ("", 0)])
def test_stages_side_by_side_read_nothing_and_that_is_told(project: Project, text: str, told: int) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline(
        {
            name: {"cmd": f"read -r x || echo end > {name}.txt", "deps": ["seed.txt"], "outs": [f"{name}.txt"]}
            for name in "ab"
        }
    )
    said = given(project, [*REPRO, "-j", "2"], text).stdout
    line = "standard input is not read: stages that may run side by side get none of it; `-j 1` passes it on\n"
    assert said.count(line) == told
    assert [(project.root / f"{name}.txt").read_text() for name in "ab"] == ["end\n"] * 2
    assert line not in given(project, [*REPRO, "-j", "2"], text).stdout  # nothing runs


def test_a_stage_asks_who_sits_at_the_terminal(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    asks = "printf 'go on? '; read -r x; echo $x > o.txt"
    project.pipeline({"s": {"cmd": asks, "deps": ["seed.txt"], "outs": ["o.txt"]}})
    terminal = Terminal([*REPRO, "-j", "1"], project)
    assert terminal.read(lambda: b"go on?" in terminal.shown)
    os.write(terminal.end, b"yes\n")
    assert terminal.wait() == 0
    os.close(terminal.end)
    assert (project.root / "o.txt").read_text() == "yes\n"


# The last line of a failure


RAISES = """python3 -c 'raise ValueError("no such column")' """ + "x" * 130
LONG = "python3 -c 'import sys; sys.stderr.write(sys.argv[1]); sys.exit(3)' 'no such column' " + "--flag value " * 20


@pytest.mark.parametrize(
    ("command", "code", "words"),
    [
        (LONG, 1, "exited with 3: no such column"),
        (RAISES, 1, "exited with 1: ValueError: no such column"),
        ("echo at step 3; kill -SEGV $$", 1, "crashed (SIGSEGV): at step 3"),
        ("kill -KILL $$", 1, "was killed by SIGKILL (out of memory?)"),
        ("sh -c 'kill -TERM $$'; exit $?", 1, "exited with 143, as after SIGTERM: Terminated"),
        ("./no-x > o.txt", 2, "'./no-x' is not executable; chmod +x ./no-x"),
        ("./folder", 2, "'./folder' is a folder, no program; change `cmd:`"),
        ("./bad", 2, "'./bad' needs /no/such, which is not there; change its #! line"),
        ("true && ./no-x", 2, "'./no-x' is not executable; chmod +x ./no-x"),
        ("true && none", 2, "there is no command 'none'; install it or change `cmd:`"),
        ("true; exit 127", 2, "exited with 127 (not found): true; exit 127"),
    ],
)
def test_the_last_line_is_the_cause_and_fits_a_screen(project: Project, command: str, code: int, words: str) -> None:
    project.write({"seed.txt": "1\n", "no-x": "#!/bin/sh\n", "folder/x": "", "bad": "#!/no/such\n"})
    (project.root / "bad").chmod(0o755)
    project.pipeline({"s": {"cmd": command, "deps": ["seed.txt"], "outs": ["o.txt"]}})
    ended = project.flow(expect=code)
    assert ended.stderr == f"error: failed to reproduce 's': {words}\n"
    assert len(ended.stderr) <= 101


@pytest.mark.parametrize("shell", ["/no/such/shell", "/no/such/fish", "/bin/false", "/etc/passwd"])
def test_a_shell_that_cannot_start_is_named_before_anything_is_touched(project: Project, shell: str) -> None:
    project.write({"seed.txt": "1\n", "o.txt": "old\n"})
    project.environment["SHELL"] = shell
    project.pipeline({"s": {"cmd": "echo hi > o.txt", "deps": ["seed.txt"], "outs": [{"o.txt": {"cache": False}}]}})
    ended = project.flow(expect=2)
    assert ended.stderr.startswith("error: failed to reproduce 's': ")
    assert ended.stderr.endswith(", and SHELL names it: set SHELL to a shell, as /bin/sh\n")
    assert f"'{shell}'" in ended.stderr
    assert (project.root / "o.txt").read_text() == "old\n"
