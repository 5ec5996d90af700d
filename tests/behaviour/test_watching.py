"""A person watches a run: on terminals, in logs, through pipes; whoever leaves changes nothing of it."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import GLIAFLOW, Project
from tests.support.terminals import Terminal

REPRO = (*GLIAFLOW, "repro", "--no-prefect")
BAR = """\
import os, sys, time
print("tty", os.isatty(1), os.isatty(2))
for done in range(5):
    sys.stderr.write(f"\\r\\x1b[32m{done * 25}%\\x1b[0m")
    sys.stderr.flush()
    time.sleep(0.4)
print("\\nend")
with open("out", "w") as file:
    file.write("made")
"""
MANY = 20_000


@pytest.fixture
def bars(project: Project) -> Project:
    """A stage with a bar."""
    project.write({"bar.py": BAR})
    project.pipeline({"bar": {"cmd": "python3 bar.py", "outs": ["out"]}})
    return project


@pytest.fixture
def lines(project: Project) -> Project:
    """A stage that prints much and one that fails, in this order."""
    project.pipeline(
        {
            "many": {"cmd": f"seq 1 {MANY} && echo made > out", "outs": ["out"]},
            "bad": {"cmd": "echo last words; exit 3", "deps": ["out"]},
        }
    )
    return project


def shell(project: Project, script: str, *more: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A script of bash in which `$@` is the run."""
    line = ["bash", "-c", script, "bash", *REPRO, *more]
    return subprocess.run(
        line, cwd=project.root, env={**project.environment, **environment}, capture_output=True, text=True,
        stdin=subprocess.DEVNULL, timeout=COMMAND_SECONDS, check=False,
    )  # fmt: skip


def recorded(project: Project, *stages: str) -> bool:
    text = (project.root / "dvc.lock").read_text()
    return all(f"  {stage}:\n" in text for stage in stages)


def test_on_a_terminal_a_stages_bar_moves_and_leaves_nothing(bars: Project) -> None:
    with Terminal(60) as terminal:
        assert terminal.run(REPRO, bars.root, bars.environment) == 0
        left, printed = terminal.left(), terminal.printed
    assert left[0] == "bar > python3 bar.py"
    assert left[1].startswith("bar: ran in ")
    assert left[2:] == ["1 ran"]
    assert sum(f"{done}%" in printed for done in (0, 25, 50, 75, 100)) >= 3
    assert recorded(bars, "bar")


def test_verbose_leaves_every_line_and_its_colours_on_a_terminal(bars: Project) -> None:
    with Terminal(60) as terminal:
        assert terminal.run([*REPRO, "-v"], bars.root, bars.environment) == 0
        left, printed = terminal.left(), terminal.printed
    assert left[1:4] == ["bar | tty True True", "bar | 100%", "bar | end"]
    assert "bar | \x1b[32m100%\x1b[0m" in printed


@pytest.mark.parametrize("environment", [{"TERM": "dumb"}, {"CI": "true"}, {"TTY_INTERACTIVE": "0"}])
def test_a_terminal_that_is_not_live_gets_lines_and_its_stages_a_pipe(
    bars: Project, environment: dict[str, str]
) -> None:
    with Terminal(60) as terminal:
        assert terminal.run(REPRO, bars.root, {**bars.environment, **environment}) == 0
        left, printed = terminal.left(), terminal.printed
    assert left[1:4] == ["bar | tty False False", "bar | 100%", "bar | end"]
    assert "\x1b[2K" not in printed
    assert "\x1b[A" not in printed


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "TTY_COMPATIBLE": "1", "TTY_INTERACTIVE": "1"}, "utf-8"),
        ({"CI": "true", "GITHUB_ACTIONS": "true", "FORCE_COLOR": "3", "TERM": "xterm-256color"}, "utf-8"),
        ({"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, "ascii"),
        ({"PYTHONIOENCODING": "latin-1"}, "latin-1"),
        ({"LC_ALL": "C.UTF-8", "NO_COLOR": "1", "TERM": "dumb"}, "utf-8"),
    ],
)
def test_a_log_has_whole_lines_of_text_and_nothing_else(bars: Project, claims: dict[str, str], code: str) -> None:
    assert shell(bars, '"$@" > log', **claims).returncode == 0
    shown = (bars.root / "log").read_bytes().decode(code).splitlines()
    assert shown[:4] == ["bar > python3 bar.py", "bar | tty False False", "bar | 100%", "bar | end"]
    assert shown[4].startswith("bar: ran in ")
    assert shown[5:] == ["1 ran"]


def test_every_line_of_many_comes_before_the_end_of_its_stage(lines: Project) -> None:
    ended = shell(lines, '"$@"', "many")
    assert ended.stdout.splitlines()[1:-2] == [f"many | {number}" for number in range(1, MANY + 1)]
    with Terminal(60) as terminal:
        assert terminal.run([*REPRO, "-v", "-f", "many"], lines.root, lines.environment) == 0
        left = terminal.left()
    assert left[1:-2] == [f"many | {number}" for number in range(1, MANY + 1)]


def test_a_terminal_changes_no_byte_of_what_is_recorded(bars: Project, tmp_path: Path) -> None:
    other = bars.copy(tmp_path / "other")
    with Terminal() as terminal:
        assert terminal.run(REPRO, bars.root, bars.environment) == 0
    assert shell(other, '"$@"').returncode == 0
    assert bars.left() == other.left()


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ('"$@" | head -1; exit ${PIPESTATUS[0]}', ""),
        ('"$@" | true; exit ${PIPESTATUS[0]}', ""),
        ('"$@" > /dev/full', "No space left on device"),
        ('"$@" >&-', ""),
        ('"$@" <&- >&- 2>&-', None),
        ('"$@" 2>&-', None),
        ('"$@" 2>/dev/full', None),
    ],
)
def test_a_reader_who_leaves_changes_neither_the_run_nor_its_exit_code(
    lines: Project, script: str, told: str | None
) -> None:
    if "/dev/full" in script and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    ended = shell(lines, script, "many")
    assert ended.returncode == 0
    assert recorded(lines, "many")
    assert told is None or (told in ended.stderr and ended.stderr.count("\n") == bool(told))
    failed = shell(lines, script)
    assert failed.returncode == 1
    assert (lines.root / "out").read_text() == "made\n"
    assert told is None or "error: failed to reproduce 'bad'" in failed.stderr
    assert "error:" not in failed.stdout  # the descriptor of another stream is not taken for it


def test_a_reader_who_takes_nothing_keeps_the_prompt_for_seconds_alone(lines: Project) -> None:
    began = time.monotonic()
    script = '{ "$@"; echo "code $?" >&2; } | { read first; echo "$first"; exec sleep 100000; } & wait %1; true'
    line = ["bash", "-c", script, "bash", *REPRO, "many"]
    with subprocess.Popen(
        line, cwd=lines.root, env=lines.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        process_group=0,
    ) as running:  # fmt: skip
        try:
            assert running.stderr
            told = [running.stderr.readline(), running.stderr.readline()]
        finally:
            os.killpg(running.pid, 9)
    assert told == ["standard output takes no more; `gliaflow logs` has the lines that are not there\n", "code 0\n"]
    assert recorded(lines, "many")
    assert time.monotonic() - began < COMMAND_SECONDS


def test_a_document_stands_alone_on_standard_output_whatever_watches(bars: Project) -> None:
    with Terminal() as terminal, (bars.root / "answer").open("w") as answer:
        line: Sequence[str] = [*REPRO, "--json"]
        environment = {**bars.environment, "TERM": "xterm"}
        assert subprocess.run(
            line, cwd=bars.root, env=environment, stdout=answer, stderr=terminal.printing, check=False
        ).returncode == 0  # fmt: skip
        left = terminal.left()
    found: dict[str, Any] = json.loads((bars.root / "answer").read_text())
    assert found["reproduced"] == ["bar"]
    assert left[-1] == "1 ran"


def test_two_runs_into_one_log_leave_whole_lines(lines: Project, tmp_path: Path) -> None:
    other = lines.copy(tmp_path / "other")
    log = tmp_path / "log"
    with log.open("a") as file:
        running = [
            subprocess.Popen([*REPRO, "many"], cwd=one.root, env=one.environment, stdout=file) for one in (lines, other)
        ]
        assert [one.wait() for one in running] == [0, 0]
    shown = log.read_text().splitlines()
    numbers = sorted(line for line in shown if " | " in line)
    assert numbers == sorted(f"many | {number}" for number in [*range(1, MANY + 1)] * 2)
    assert [line for line in shown if not line.startswith("many")] == ["1 ran"] * 2
