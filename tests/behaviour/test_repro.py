"""What the flow leaves, against what serial `dvc repro` leaves from the same state."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.repos import Project, reproduce

DIAMOND: dict[str, Any] = {
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
        "cmd": "mkdir -p sub/deep && cat left/*.txt r*.txt > sub/deep/all.txt && wc -l < sub/deep/all.txt > sub/n.json",
        "deps": ["left/x.txt", "left/y.txt", "r1p.txt", "r1q.txt", "r2p.txt", "r2q.txt"],
        "outs": ["sub/deep/all.txt"],
        "metrics": [{"sub/n.json": {"cache": False}}],
    },
}

EVERY_FORM: dict[str, Any] = {
    "several": {
        "cmd": ["echo 1 > several.txt", "echo 2 >> several.txt"],
        "desc": "two commands",
        "meta": {"owner": "somebody", "cpus": 1},
        "deps": ["seed.txt"],
        "outs": ["several.txt"],
    },
    "folder": {
        "cmd": "mkdir -p folder/inner && cp several.txt folder/inner/a && cp seed.txt folder/b",
        "deps": ["several.txt", "seed.txt"],
        "outs": ["folder"],
    },
    "inside": {"cmd": "cp folder/inner/a inside.txt", "deps": ["folder/inner"], "outs": ["inside.txt"]},
    "elsewhere": {"cmd": "cp ../seed.txt made.txt", "wdir": "work", "deps": ["../seed.txt"], "outs": ["made.txt"]},
    "persists": {
        "cmd": "date +%s%N >> grows.txt; tail -n 1 seed.txt > grows.txt",
        "deps": ["seed.txt"],
        "outs": [{"grows.txt": {"persist": True}}],
    },
    "uncached": {
        "cmd": "cp work/made.txt plain.txt",
        "deps": ["work/made.txt"],
        "outs": [{"plain.txt": {"cache": False}}],
    },
    "scores": {
        "cmd": "echo '{\"a\": ${scale}}' > scores.json && cp scores.json curve.json",
        "params": ["scale", {"other.toml": ["deep.value"]}],
        "metrics": [{"scores.json": {"cache": False}}],
        "plots": ["curve.json"],
    },
    "templated": {"cmd": "echo ${greeting} > ${file}", "deps": ["plain.txt"], "outs": ["${file}"]},
    "always": {
        "cmd": "cp several.txt always.txt",
        "deps": ["several.txt"],
        "outs": ["always.txt"],
        "always_changed": True,
    },
    "callback": {"cmd": "echo called >> calls.log"},
    "frozen": {"cmd": "cp always.txt frozen.txt", "deps": ["always.txt"], "outs": ["frozen.txt"]},  # later
    "after-frozen": {"cmd": "cp frozen.txt after.txt", "deps": ["frozen.txt"], "outs": ["after.txt"]},
    "reads-data": {
        "cmd": "cat data.bin imported.txt > read.txt",
        "deps": ["data.bin", "imported.txt"],
        "outs": ["read.txt"],
    },
    "reads-other": {"cmd": "cp other/made.txt read-other.txt", "deps": ["other/made.txt"], "outs": ["read-other.txt"]},
    "last": {
        "cmd": "cat read.txt read-other.txt > last.txt",
        "deps": ["read.txt", "read-other.txt"],
        "outs": ["last.txt"],
    },
}


def every_form(project: Project) -> None:
    """A graph with every form of a stage that DVC knows."""
    outside = project.root.parent / "outside.txt"
    outside.write_text("from outside\n")
    project.write(
        {"seed.txt": "1\n", "params.yaml": "scale: 1\n", "other.toml": "[deep]\nvalue = 3\n", "work/keep": ""}
    )
    project.write({"data.bin": "data\n", "calls.log": ""})
    project.dvc("add", "data.bin")
    project.dvc("import-url", str(outside), "imported.txt")
    project.pipeline(EVERY_FORM, vars=[{"greeting": "hello", "file": "hello.txt"}])
    other = {"make": {"cmd": "cp ../last-seed.txt made.txt", "deps": ["../last-seed.txt"], "outs": ["made.txt"]}}
    project.write({"last-seed.txt": "x\n"})
    project.pipeline(other, "other/dvc.yaml")


def twins(project: Project, tmp_path: Path) -> tuple[Project, Project]:
    """Two copies of a project: one for the flow, one for DVC."""
    project.commit()
    return project.copy(tmp_path / "a" / "twin"), project.copy(tmp_path / "b" / "twin")


def test_a_diamond_with_foreach_and_matrix(project: Project, tmp_path: Path) -> None:
    project.write({"seed.txt": "1\n", "params.yaml": "a: {b: 1}\nnames: [x, y]\n", "left/keep": ""})
    project.pipeline(DIAMOND)
    ours, theirs = twins(project, tmp_path)
    ours.flow()
    theirs.dvc("repro")
    assert ours.left() == theirs.left()
    ours.clean()


def test_every_form_of_a_stage(project: Project, tmp_path: Path) -> None:
    every_form(project)
    ours, theirs = twins(project, tmp_path)
    frozen = EVERY_FORM | {"frozen": EVERY_FORM["frozen"] | {"frozen": True}}
    edits: list[Callable[[Project], None]] = [
        lambda _: None,
        lambda twin: twin.write({"seed.txt": "2\n"}),
        lambda twin: twin.write({"data.bin": "new\n"}),
        lambda twin: twin.write({"params.yaml": "scale: 2\n"}),
        lambda twin: twin.pipeline(frozen, vars=[{"greeting": "good day", "file": "hello.txt"}]),
        lambda twin: twin.write({"seed.txt": "1\n"}),
        lambda twin: (twin.root / "folder/b").unlink(),
    ]
    for edit in edits:
        for twin in (ours, theirs):
            edit(twin)
        shown = ours.flow("--all-pipelines").stdout
        theirs.dvc("repro", "--all-pipelines")
        assert ours.left() == theirs.left(), shown
    assert (ours.root / "calls.log").read_text() == (theirs.root / "calls.log").read_text() == "called\n" * len(edits)
    status = ours.dvc("status").stdout
    assert status == theirs.dvc("status").stdout
    assert "always changed" in status
    assert "modified" not in status


def test_dry_says_what_each_stage_would_come_to_and_changes_nothing(project: Project) -> None:
    project.write({"seed.txt": "1\n", "params.yaml": "p: {q: 5, r: 1}\n"})
    project.pipeline(
        {
            "first": {"cmd": "cp seed.txt a.txt", "deps": ["seed.txt"], "outs": ["a.txt"]},
            "second": {"cmd": "cp a.txt b.txt", "deps": ["a.txt"], "params": ["p"], "outs": ["b.txt"]},
            "third": {"cmd": "cp b.txt c.txt", "deps": ["b.txt"], "outs": ["c.txt"]},
            "other": {"cmd": "cp seed.txt o.txt", "deps": ["seed.txt"], "outs": ["o.txt"]},
        }
    )
    assert set(project.flow("--dry").stdout.splitlines()) == {
        "first: to run: it is in no dvc.lock yet",
        "second: to run: it is in no dvc.lock yet, upstream first will run",
        "third: to run: it is in no dvc.lock yet, upstream second will run",
        "other: to run: it is in no dvc.lock yet",
    }
    project.flow()
    project.write({"seed.txt": "2\n"})
    project.flow()
    project.write({"seed.txt": "1\n"})
    before = project.left()
    assert set(project.flow("--dry").stdout.splitlines()) == {
        "first: restorable: seed.txt changed",
        "second: restorable: a.txt changed",
        "third: restorable: b.txt changed",
        "other: restorable: seed.txt changed",
    }
    project.write({"params.yaml": "p: {q: 20, r: 1}\n"})
    assert project.flow("--dry", "third").stdout.splitlines() == [
        "first: restorable: seed.txt changed",
        "second: to run: a.txt changed, p.q 5 → 20",
        "third: may run: upstream second will run",
    ]
    assert project.left() == before
    assert (project.root / "a.txt").read_text() == "2\n"
    assert set(reproduce(project.root, dry=True)) == {"first", "second", "other"}
