"""Several starts on one workspace, of the flow and of DVC itself."""

import subprocess
import sys

import pytest

from tests.behaviour.test_kills import stage
from tests.support.patience import COMMAND_SECONDS
from tests.support.repos import Project

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
    assert project.left()["dvc.lock"] == alone.left()["dvc.lock"]
