"""Several starts on one workspace, of the flow and of DVC itself."""

import subprocess
import sys

import pytest

from gliaflow.resources.slots import usable_cpus
from tests.behaviour.test_kills import stage
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import GLIAFLOW, Project

pytestmark = pytest.mark.usefixtures("api")  # Prefect keeps these runs


def test_eight_concurrent_starts(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    stages = {"a": stage("a", "seed.txt"), "b": stage("b", "seed.txt"), "c": stage("c", "a.txt", "b.txt")}
    stages |= {f"x{number}": stage(f"x{number}", "c.txt") for number in range(3)}
    project.pipeline(stages)
    project.commit()
    alone = project.copy(project.root.parent / "alone" / "project")
    alone.dvc("repro")
    flow, repro, status = ("gliaflow", "repro"), ("dvc", "repro"), ("dvc", "status")
    lines = [flow, repro, flow, status, flow, repro, status, flow]
    started = [
        subprocess.Popen(
            [sys.executable, "-m", *line],
            cwd=project.root,
            env=project.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for line in lines
    ]
    ended = [
        (line, *process.communicate(timeout=COMMAND_SECONDS), process.returncode)
        for line, process in zip(lines, started, strict=True)
    ]
    for line, output, errors, code in ended:
        if line == flow:
            assert code == 0, f"{output}\n{errors}"
            assert errors == ""
        elif code:
            assert "busy" in errors or "Unable to acquire lock" in errors or "failed to reproduce" in errors, errors
    assert not (project.root / "twice.log").exists()
    project.clean()
    left, expected = project.left(), alone.left()
    assert left["dvc.lock"] == expected["dvc.lock"]
    ignored = left[".gitignore"].splitlines()  # a `dvc repro` that fails takes out the lines that it had added
    assert ignored == [line for line in expected[".gitignore"].splitlines() if line in ignored]


@pytest.mark.parametrize("made", [["o.txt"], []], ids=["restorable", "without outputs"])
def test_what_another_run_has_just_recorded_does_not_run_again(project: Project, made: list[str]) -> None:
    """Both runs wait for all slots of this machine; the second to get them finds the stage recorded."""
    every = {"cpus": usable_cpus()}
    project.write({"seed.txt": "1\n"})
    command = "sleep 1; echo ran >> runs.log; cp seed.txt o.txt"
    project.pipeline(
        {
            "first": {
                "cmd": "sleep 2; cp seed.txt first.txt",
                "deps": ["seed.txt"],
                "outs": ["first.txt"],
                "meta": every,
            },
            "s": {"cmd": command, "deps": ["seed.txt"], "outs": made, "meta": every},
        }
    )
    project.commit()
    lines = [["repro", "--no-prefect", *targets] for targets in ([], ["s"], ["s"])]
    options = {"cwd": project.root, "env": project.environment, "stdout": subprocess.PIPE, "text": True}
    started = [subprocess.Popen([*GLIAFLOW, *line], **options) for line in lines]  # type: ignore[call-overload]
    ended = [(process.communicate(timeout=COMMAND_SECONDS)[0], process.returncode) for process in started]
    assert [code for _, code in ended] == [0, 0, 0], ended
    assert (project.root / "runs.log").read_text() == "ran\n"
    assert sum("s: ran in" in output for output, _ in ended) == 1
    project.clean()
