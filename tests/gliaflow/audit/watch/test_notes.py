"""The notes of one try: what Python writes down, and what is taken of it."""

import os
import subprocess
import sys
from pathlib import Path

from gliaflow.audit.declared import Declared
from gliaflow.audit.watch.notes import HOOK, Notes


def notes(tmp_path: Path, reads: list[str], writes: list[str]) -> Notes:
    """Those of a stage that declares these names."""
    top = tmp_path / "top"
    top.mkdir(exist_ok=True)
    declared = Declared("s", top, *(frozenset(str(top / name) for name in names) for names in (reads, writes)))
    return Notes(tmp_path / "notes", [str(top)], declared)


def test_the_environment_has_the_hook_in_front_and_is_the_same_else(tmp_path: Path) -> None:
    made = notes(tmp_path, [], []).environment({"PYTHONPATH": "a:b", "X": "1"})
    assert made.pop("PYTHONPATH") == f"{HOOK}:a:b"
    assert Path(made.pop("GLIAFLOW_AUDIT")).is_dir()
    assert made == {"X": "1"}
    assert notes(tmp_path, [], []).environment({"PYTHONPATH": ""})["PYTHONPATH"] == str(HOOK)


def test_what_is_declared_is_not_noted(tmp_path: Path) -> None:
    for name in ("top/in/a", "top/b", "top/c"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    one = notes(tmp_path, ["in", "b"], ["out"])
    code = "import os; open('in/a'); open('b'); open('c'); open('out', 'w'); os.mkdir('d'); open('d/e', 'w')"
    environment = one.environment(os.environ)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path / "top", env=environment, check=True)
    found = one.taken()
    assert found.read == {tmp_path / "top/c"}
    assert found.written == {tmp_path / "top/d/e"}
    assert found.processes == 1
    assert list((tmp_path / "notes").iterdir()) == []


def test_without_a_process_there_is_nothing(tmp_path: Path) -> None:
    one = notes(tmp_path, [], [])
    assert one.taken().processes == 0
    one.close()
