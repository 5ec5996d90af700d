"""What `make run` says at its end; programs in the place of gliaflow leave what a run may leave."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.repos import GIT, ROOT

UI = "To see this run in a browser, with its stages and their lines: .venv/bin/gliaflow ui"
KEPT = {"dvc.lock": "1\n", "results/lgg/evaluate.json": "1\n", "params.yaml": "1\n", "stages/lgg/train.py": "1\n"}
ALSO = ("pyproject.toml", "requirements.lock", "dvc.yaml", "src/gliaflow/__init__.py")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A committed folder with this Makefile, whose environment is ready."""
    for name, text in {**KEPT, **dict.fromkeys(ALSO, ""), "Makefile": (ROOT / "Makefile").read_text()}.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for line in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "A state to run from"]):
        subprocess.run(["git", *line], cwd=tmp_path, env={**os.environ, **GIT}, check=True)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/.ready").touch()
    return tmp_path


def make_run(root: Path, leaves: str = "") -> "subprocess.CompletedProcess[str]":
    """`make run` with a gliaflow whose `repro` is the script `leaves`."""
    program = root / ".venv/bin/gliaflow"
    program.write_text(f'#!/bin/sh\necho "gliaflow $*"\nif [ "$1" = repro ]; then\n:\n{leaves}\nfi\n')
    program.chmod(0o755)
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")  # of the make that runs these tests: this one would tell of its folder
    environment = {name: value for name, value in os.environ.items() if name not in outer} | GIT | {"LC_ALL": "C"}
    return subprocess.run(["make", "run"], cwd=root, env=environment, capture_output=True, text=True, check=False)


def test_a_run_that_changes_nothing_ends_with_how_to_see_it(root: Path) -> None:
    ended = make_run(root)
    assert (ended.returncode, ended.stdout.splitlines()) == (0, ["gliaflow repro", "gliaflow metrics", UI])


def test_what_another_processor_changed_is_named(root: Path) -> None:
    ended = make_run(root, "echo 2 | tee results/lgg/evaluate.json > dvc.lock")
    *_, note, last = ended.stdout.splitlines()
    assert (ended.returncode, last) == (0, UI)
    assert note.startswith(
        "note: no longer as committed: dvc.lock results/lgg/evaluate.json. Another kind of processor also gives"
    )
    assert note.endswith("git commit dvc.lock results. To drop them until the next run: git restore dvc.lock results")


def test_what_the_user_changed_is_named_as_a_reason(root: Path) -> None:
    (root / "params.yaml").write_text("2\n")
    (root / "stages/lgg/train.py").write_text("2\n")
    ended = make_run(root, "echo 2 > dvc.lock")
    note = ended.stdout.splitlines()[-2]
    assert note.startswith(
        "note: no longer as committed: dvc.lock. You changed params.yaml stages/lgg/train.py. Another"
    )


def test_a_change_of_parameters_alone_is_no_news(root: Path) -> None:
    (root / "params.yaml").write_text("2\n")
    assert "note" not in make_run(root).stdout


def test_the_advice_works(root: Path) -> None:
    make_run(root, "echo 2 | tee results/lgg/evaluate.json > dvc.lock")
    subprocess.run(["git", "restore", "dvc.lock", "results"], cwd=root, check=True)
    assert "note" not in make_run(root).stdout
    make_run(root, "echo 2 | tee results/lgg/evaluate.json > dvc.lock")
    line = ["git", "commit", "-qm", "Results of here", "dvc.lock", "results"]
    subprocess.run(line, cwd=root, env={**os.environ, **GIT}, check=True)
    assert "note" not in make_run(root).stdout


def test_a_run_that_fails_ends_with_how_to_see_it_too(root: Path) -> None:
    ended = make_run(root, "exit 1")
    assert ended.returncode != 0
    assert ended.stdout.splitlines() == ["gliaflow repro", UI]


def test_without_git_there_is_nothing_to_compare(root: Path) -> None:
    (root / ".git").rename(root / "no-git")
    ended = make_run(root, "echo 2 > dvc.lock")
    assert (ended.returncode, ended.stdout.splitlines()[-1], ended.stderr) == (0, UI, "")
    assert "note" not in ended.stdout
