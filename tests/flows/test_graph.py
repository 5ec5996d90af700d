"""What the engine leaves of this project's own graph, against what serial `dvc repro` leaves."""

import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from tests.behaviour.test_repro import twins
from tests.support.repos import ROOT, Project


def test_this_pipeline(project: Project, tmp_path: Path) -> None:
    """Its graph, with commands that only write their outputs."""
    stages = YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    project.write(
        {
            name: f"{name}\n"
            for name in listed.split("\0")
            if name.startswith(("stages/", "requirements", "sample", "none")) and not name.endswith("__init__.py")
        }
    )
    project.write({"params.yaml": (ROOT / "params.yaml").read_text()})
    for stage in stages.values():
        made = [
            next(iter(out)) if isinstance(out, dict) else out
            for k in ("outs", "metrics", "plots")
            for out in stage.get(k, [])
        ]
        stage["cmd"] = [f"mkdir -p $(dirname {out}) && cat {' '.join(stage['deps'][-2:])} > {out}" for out in made]
    project.pipeline(stages)
    ours, theirs = twins(project, tmp_path)
    ours.flow("--jobs", "4")
    theirs.dvc("repro")
    assert len(ours.left()) >= 30
    assert ours.left() == theirs.left()
    ours.clean()
