"""The examples run as their READMEs say, and leave what `dvc repro` leaves."""

import json
import shutil
import sys
from collections.abc import Callable

import pytest

from tests.support.repos import ROOT, Project

EXAMPLES = ROOT / "examples"
Make = Callable[[str], Project]


def copied(new_project: Make, example: str) -> tuple[Project, Project]:
    """Two repositories of the example: one for gliaflow, one for `dvc repro`."""
    made = new_project("ours"), new_project("theirs")
    for project in made:
        shutil.copytree(EXAMPLES / example, project.root, dirs_exist_ok=True)
    return made


def same(ours: Project, theirs: Project, *outputs: str) -> bool:
    """Whether both hold the same outputs, and DVC keeps the same of them."""
    return ours.left() == theirs.left() and all(
        (ours.root / name).read_bytes() == (theirs.root / name).read_bytes() for name in outputs
    )


def test_hello(new_project: Make) -> None:
    ours, theirs = copied(new_project, "hello")
    outputs = ("greetings.txt", "shouted.txt", "count.json")
    for parameters in ("greeting: Hello\n", "greeting: Hi\n", "greeting: Hello\n"):
        for project in (ours, theirs):
            project.write({"params.yaml": parameters})
        shown = ours.flow().stdout
        theirs.dvc("repro")
        assert same(ours, theirs, *outputs)
    assert "restored" in shown
    assert (ours.root / "shouted.txt").read_text() == "HELLO, ADA!\nHELLO, GRACE!\nHELLO, KATHERINE!\n"
    assert "greetings" in ours.gliaflow("metrics").stdout
    ours.clean()


def test_a_stage_in_awk(new_project: Make) -> None:
    ours, theirs = copied(new_project, "r")
    ours.flow("spread")
    theirs.dvc("repro", "spread")
    assert same(ours, theirs, "spread.json")
    assert json.loads((ours.root / "spread.json").read_text()) == {"mean": 5.02, "sd": 3.150714}


@pytest.mark.skipif(not shutil.which("Rscript"), reason="Rscript is missing: Debian's package r-base-core has it")
def test_a_stage_in_r(new_project: Make) -> None:
    ours, theirs = copied(new_project, "r")
    ours.flow()
    theirs.dvc("repro")
    assert same(ours, theirs, "fit.json", "spread.json")
    assert json.loads((ours.root / "fit.json").read_text()) == {"x^0": 1.04, "x^1": 1.99}
    ours.clean()


def test_without_r_a_stage_in_it_is_named_and_nothing_of_it_is_touched(project: Project) -> None:
    shutil.copytree(EXAMPLES / "r", project.root, dirs_exist_ok=True)
    project.environment["PATH"] = _only(project, "git", "sh", "bash", "awk")
    ended = project.flow("--keep-going", expect=2)
    assert "Rscript" in ended.stderr
    assert (project.root / "spread.json").exists()


def _only(project: Project, *programs: str) -> str:
    folder = project.root.parent / "bin"
    folder.mkdir()
    for program in programs:
        (folder / program).symlink_to(str(shutil.which(program)))
    return str(folder)


def test_a_flow_of_ones_own(new_project: Make, api: str) -> None:
    assert api
    ours, theirs = copied(new_project, "hello")
    ended = ours.run(sys.executable, str(EXAMPLES / "flow.py"))
    theirs.dvc("repro")
    assert "3 stages ran" in ended.stderr + ended.stdout
    assert same(ours, theirs, "shouted.txt")
