"""A command that the tests run by a fork does what a process of its own does."""

import subprocess
import sys

import pytest

from tests.support.forks import Forks
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import Project, copies


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (["gliaflow", "--version"], 0),
        (["gliaflow", "status"], 0),
        (["gliaflow", "repro", "--no-prefect", "--quiet", "nothing"], 2),
        (["gliaflow", "rpero"], 2),
        (["dvc", "status"], 0),
        (["dvc", "repro", "nothing"], 255),
        (["dvc", "rpero"], 254),
    ],
)
def test_output_and_exit_code_are_those_of_a_process(project: Project, line: list[str], code: int) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": copies("seed.txt", "o.txt")})
    whole = [sys.executable, "-m", *line]
    forks = project.forks
    assert isinstance(forks, Forks)
    assert forks.runs(whole, project.environment)
    forked = forks.run(whole, project.root, project.environment, COMMAND_SECONDS)
    started = subprocess.run(
        whole, cwd=project.root, env=project.environment, capture_output=True, text=True, check=False
    )
    assert (forked.returncode, forked.stdout, forked.stderr) == (code, started.stdout, started.stderr)
    assert started.returncode == code


def test_another_encoding_or_another_program_takes_a_process_of_its_own(project: Project) -> None:
    assert project.forks
    line = [sys.executable, "-m", "dvc", "status"]
    assert project.forks.runs(line, project.environment)
    assert not project.forks.runs(line, project.environment | {"PYTHONIOENCODING": "ascii"})
    assert not project.forks.runs([sys.executable, "-m", "prefect", "version"], project.environment)
    assert not project.forks.runs(["git", "status"], project.environment)


def test_one_that_takes_too_long_is_killed(project: Project) -> None:
    project.pipeline({"s": {"cmd": "touch begun; sleep 1200", "outs": ["o.txt"]}})
    assert project.forks
    with pytest.raises(subprocess.TimeoutExpired):
        project.forks.run([sys.executable, "-m", "dvc", "repro"], project.root, project.environment, 3)
