"""A workspace of DVC's commands alone."""

import sys
from pathlib import Path

from tests.behaviour.test_repro import DIAMOND, twins
from tests.support.repos import Project


def test_the_fallback_uses_dvcs_commands_alone(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n", "params.yaml": "a: {b: 1}\nnames: [x, y]\n", "left/keep": ""})
    project.pipeline(DIAMOND)
    ours, theirs = twins(project, tmp_path)
    ours.flow("--fallback", "--jobs", "1")
    theirs.dvc("repro")
    assert sorted(ours.left()) == sorted(theirs.left())
    ours.clean()
    assert "up to date" in ours.flow("--fallback").stdout
    refused = ours.flow("--fallback", "--pipeline", expect=2)
    assert refused.stderr == "error: --pipeline does not go with --fallback; use `dvc repro` for it\n"


def test_the_fallback_needs_no_internals_of_dvc(project: Project) -> None:
    project.write({"seed.txt": "1\n"})
    project.pipeline({"s": {"cmd": "cp seed.txt o.txt", "deps": ["seed.txt"], "outs": ["o.txt"]}})
    moved = "import dvc.stage.run as moved; del moved._make_cmd; from gliaflow.cli.app import main; main()"
    line = [sys.executable, "-c", moved, "repro", "--no-prefect"]
    refused = project.run(*line, expect=2)
    assert "the internals of this DVC moved (cannot import name '_make_cmd'" in refused.stderr
    assert "run with --fallback" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert "s: ran in" in project.run(*line, "--fallback").stdout
    project.clean()
