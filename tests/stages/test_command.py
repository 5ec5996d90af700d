import subprocess
import sys
from pathlib import Path

import pytest

STAGE = """
import os, signal, sys
from pathlib import Path
from stages.command import run
from stages.errors import BadInput, TransientError

def main(source: Path, *, out: Path, number: int = 0) -> None:
    "Turn SOURCE into OUT."
    match str(source):
        case "bad": raise BadInput("bad: is not good; find another")
        case "busy": raise TransientError("the server is busy; try again later")
        case "full": raise OSError(28, "No space left on device", str(out))
        case "interrupted": signal.raise_signal(signal.SIGINT)
        case "greedy": raise MemoryError
        case "bug": raise ZeroDivisionError
    print(source, out, number)

if __name__ == "__main__":
    run(main)
"""


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    (tmp_path / "example.py").write_text(STAGE)
    return tmp_path


def run(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    root = Path(__file__).parents[2]
    line = [sys.executable, "-m", "example", *arguments]
    environment = {"PYTHONPATH": str(root), "COLUMNS": "100"}
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_arguments_are_typed_by_the_signature(stage: Path) -> None:
    ended = run(stage, "a/b", "--out", "c", "--number", "7")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "a/b c 7\n", "")


@pytest.mark.parametrize(
    ("source", "code", "line"),
    [
        ("bad", 2, "error: bad: is not good; find another"),
        ("busy", 75, "error: the server is busy; try again later"),
        ("full", 2, "error: out: No space left on device; free some space and run it again"),
        ("greedy", 2, "error: memory is full; lower the batch in params.yaml"),
        ("interrupted", 130, "error: interrupted; nothing half-written was left"),
    ],
)
def test_an_error_is_one_line_and_its_exit_code(stage: Path, source: str, code: int, line: str) -> None:
    ended = run(stage, source, "--out", "out")
    assert (ended.returncode, ended.stdout, ended.stderr) == (code, "", f"{line}\n")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["a"], "--out"),
        (["a", "--out", "b", "--number", "many"], "many"),
        (["a", "--out", "b", "--numbre", "1"], "--numbre"),
        (["a", "b", "c", "--out", "d"], "c"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_it(stage: Path, arguments: list[str], named: str) -> None:
    ended = run(stage, *arguments)
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert named in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_a_bug_keeps_its_traceback(stage: Path) -> None:
    ended = run(stage, "bug", "--out", "out")
    assert ended.returncode == 1
    assert "ZeroDivisionError" in ended.stderr


def test_help_is_the_docstring(stage: Path) -> None:
    ended = run(stage, "--help")
    assert ended.returncode == 0
    assert "Turn SOURCE into OUT." in ended.stdout
    assert "python -m example" in ended.stdout
