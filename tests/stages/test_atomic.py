import signal
import subprocess
import sys
from pathlib import Path

import pytest

from stages.atomic import growing, staged


def test_outputs_appear_together_and_whole(tmp_path: Path) -> None:
    file, folder = tmp_path / "new" / "a.csv", tmp_path / "new" / "b"
    with staged(file, folder) as (partial_file, partial_folder):
        partial_file.write_text("a")
        partial_folder.mkdir()
        (partial_folder / "c").write_text("c")
        assert not file.exists()
        assert partial_file.suffix == ".csv"
    assert file.read_text() == "a"
    assert (folder / "c").read_text() == "c"
    assert sorted(path.name for path in file.parent.iterdir()) == ["a.csv", "b"]


def test_an_error_leaves_the_previous_outputs(tmp_path: Path) -> None:
    file, folder = tmp_path / "a", tmp_path / "b"
    file.write_text("old")
    folder.mkdir()
    (folder / "c").write_text("old")
    with pytest.raises(IsADirectoryError), staged(file, folder) as (partial_file, partial_folder):
        partial_file.write_text("new")
        partial_folder.mkdir()
        partial_folder.write_text("new")
    assert file.read_text() == "old"
    assert (folder / "c").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_folder_replaces_the_previous_one(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "old").touch()
    with staged(folder) as (partial,):
        partial.mkdir()
        (partial / "new").touch()
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_a_forgotten_output_moves_none(tmp_path: Path) -> None:
    made, forgotten = tmp_path / "a", tmp_path / "b"
    with pytest.raises(FileNotFoundError), staged(forgotten, made) as (_, partial):
        partial.write_text("a")
    assert list(tmp_path.iterdir()) == []


def test_what_grows_in_its_place_stays_when_all_is_well_and_goes_when_not(tmp_path: Path) -> None:
    folder, file, unborn = tmp_path / "folder", tmp_path / "file", tmp_path / "unborn"

    def grow() -> None:
        folder.mkdir(exist_ok=True)
        (folder / "half").touch()
        file.touch()

    with growing(folder, file, unborn):
        grow()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
    with pytest.raises(KeyboardInterrupt), growing(folder, file, unborn):
        grow()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_behind_goes_at_the_next_start(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from stages.atomic import staged\n"
        "with staged(Path(sys.argv[1])) as (partial,):\n"
        "    partial.mkdir(); (partial / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(tmp_path / "b")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "b").exists()
    with staged(tmp_path / "b") as (partial,):
        assert not partial.exists()
        partial.mkdir()
    assert list((tmp_path / "b").iterdir()) == []
