"""What the flow leaves, against what serial `dvc repro` leaves from the same state."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.repos import Project


def both(project: Project, tmp_path: Path) -> tuple[Project, Project]:
    """Two copies of a project: one for the flow, one for DVC."""
    project.commit()
    return project.copy(tmp_path / "a" / "flow"), project.copy(tmp_path / "b" / "flow")


def test_a_diamond_with_foreach_and_matrix(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n", "params.yaml": "a: {b: 1}\nnames: [x, y]\n"})
    project.pipeline(
        {
            "top": {"cmd": "cp seed.txt top.txt", "deps": ["seed.txt"], "outs": ["top.txt"]},
            "left": {
                "foreach": "${names}",
                "do": {
                    "cmd": "echo ${item} | cat - top.txt > left/${item}.txt",
                    "deps": ["top.txt"],
                    "outs": ["left/${item}.txt"],
                },
            },
            "right": {
                "matrix": {"n": [1, 2], "m": ["p", "q"]},
                "cmd": "echo ${item.n} ${item.m} | cat - top.txt > r${item.n}${item.m}.txt",
                "deps": ["top.txt"],
                "params": ["a.b"],
                "outs": ["r${item.n}${item.m}.txt"],
            },
            "bottom": {
                "cmd": "mkdir -p sub/deep && cat left/*.txt r*.txt > sub/deep/all.txt",
                "deps": ["left/x.txt", "left/y.txt", "r1p.txt", "r1q.txt", "r2p.txt", "r2q.txt"],
                "metrics": [{"sub/deep/all.txt": {"cache": False}}],
            },
        }
    )
    project.write({"left/keep": ""})
    ours, theirs = both(project, tmp_path)
    print(ours.flow().stdout)
    theirs.dvc("repro")
    assert ours.left() == theirs.left()
    ours.clean()
