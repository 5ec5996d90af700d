"""The diff driver of lgg-pack: what it prints of two versions, and which of their files it reads."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.errors import BadInput
from stages.lgg.compare import main
from tests.stages.lgg.versions import AFTER, BEFORE, HEAD, OF_AFTER, pixels, save

ROOT = Path(__file__).parents[3]
OLD, NEW = Path("old/d"), Path("new/d")
FILES = ("slices.csv", "images.npy", "masks.npy")
ROWS = [*range(7)]

Lines = Callable[[], list[str]]


@pytest.fixture(autouse=True)
def versions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have old/d and new/d link to the same files of a cache."""
    monkeypatch.chdir(tmp_path)
    save(Path("cache"), BEFORE, ROWS, ROWS)
    for folder in (OLD, NEW):
        folder.mkdir(parents=True)
        for name in FILES:
            (folder / name).symlink_to(tmp_path / "cache" / name)


def put(path: Path, content: str | bytes | list[int]) -> None:
    """A file of its own in the place of a link: a text, bytes or an array."""
    path.unlink()
    if isinstance(content, list):
        np.save(path, pixels(content))
    else:
        path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Lines:
    """What the command prints of the two versions, stripped."""

    def printed() -> list[str]:
        main(Path("old"), Path("new"))
        return [line.strip() for line in capsys.readouterr().out.splitlines()]

    return printed


EXPECTED = """\
patients: 1 added, 1 removed, 2 changed, 1 the same
  added: P0
  removed: P3
  changed: P1, P2
slices: 2 added, 2 removed, 2 changed, 3 the same
  added: P0 1, P2 3
  removed: P2 2, P3 1
  changed: P1 2, P2 1
  differing in slices.csv: 1, images.npy: 1, masks.npy: 1
"""


def command(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """As `gliaflow diff` calls it, but from any folder."""
    line = [sys.executable, "-W", "error", "-m", "stages.lgg.compare", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run(line, env=environment, capture_output=True, text=True, check=False)


def test_two_versions_as_a_command() -> None:
    images = OF_AFTER.copy()
    images[3] = 100
    masks = [0, 0, 0, 1, 0, 0, 0]  # the same file: of P2 2 in the old version, of P2 1 in the new one
    put(NEW / "slices.csv", HEAD + AFTER)
    put(NEW / "images.npy", images)
    put(Path("cache/masks.npy"), masks)
    ended = command("old", "new")
    assert (ended.stdout, ended.stderr, ended.returncode) == (EXPECTED, "", 0)


def test_only_what_differs_is_read(lines: Lines) -> None:
    """What is read here and is no table or array would be named in a line."""
    for name in FILES:
        put(Path("cache", name), b"nothing that can be read")
    assert lines() == ["patients and slices: the same"]
    put(OLD / "slices.csv", HEAD + BEFORE)
    put(NEW / "slices.csv", HEAD + BEFORE.replace("P1,CS,2,5", "P1,CS,2,6"))
    changed = ["changed: P1 2", "differing in slices.csv: 1"]
    assert lines()[3:] == changed
    put(OLD / "masks.npy", ROWS)
    put(NEW / "masks.npy", [*range(6), 9])
    assert lines()[3:] == ["changed: P1 2, P4 1", "differing in slices.csv: 1, masks.npy: 1"]


def test_equal_files_that_are_no_links_are_equal(lines: Lines) -> None:
    put(NEW / "slices.csv", HEAD + BEFORE)
    put(NEW / "images.npy", ROWS)
    assert lines() == [
        "patients: 0 added, 0 removed, 0 changed, 4 the same",
        "slices: 0 added, 0 removed, 0 changed, 7 the same",
    ]


def test_slices_that_only_changed_places_in_the_table_are_changed_in_equal_arrays(lines: Lines) -> None:
    put(NEW / "slices.csv", HEAD + BEFORE.replace("P1,CS,1,0\n1,P1,CS,2,5", "P1,CS,2,5\n1,P1,CS,1,0"))
    assert "changed: P1 1, P1 2" in lines()
    assert "differing in images.npy: 2, masks.npy: 2" in lines()


def test_what_cannot_be_compared_is_said_and_the_rest_is_compared(lines: Lines) -> None:
    (OLD / "images.npy").unlink()
    put(NEW / "masks.npy", [1, 2])
    broken = "masks.npy of the new version is no array of 7 slices: not compared"
    assert lines() == [
        "patients: 0 added, 0 removed, 0 changed, 4 the same",
        "slices: 0 added, 0 removed, 0 changed, 7 the same",
        "images.npy is not in the old version: not compared",
        broken,
    ]
    put(NEW / "masks.npy", b"\x93NUMPY")
    assert lines()[3] == broken
    put(NEW / "slices.csv", "a,b\n1,2\n")
    assert lines() == [
        "the table of the new version is not one of slice, patient, institution, number, tumour_px: not compared"
    ]
    (NEW / "slices.csv").unlink()
    assert lines() == ["the table is not in the new version: not compared"]


def test_many_names_are_a_few_and_how_many_more(lines: Lines) -> None:
    put(NEW / "slices.csv", HEAD + BEFORE.replace(",P", ",Q"))
    put(NEW / "masks.npy", [0] * 7)
    assert lines()[:2] == ["patients: 4 added, 4 removed, 0 changed, 0 the same", "added: Q1, Q2, Q3, Q4"]
    assert "removed: P1 1, P1 2, P2 1, P2 2, P2 10, 2 more" in lines()


def test_of_several_tables_each_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    save(Path("old/e"), BEFORE, ROWS, ROWS)
    main(Path("old"), Path("new"))
    expected = "d/slices.csv\n  patients and slices: the same\n"
    expected += "e/slices.csv\n  the table is not in the new version: not compared\n"
    assert capsys.readouterr().out == expected


def test_files_are_left_as_they_are() -> None:
    put(NEW / "slices.csv", HEAD + AFTER)
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    for path in before:
        path.resolve().chmod(0o444)
    main(Path("old"), Path("new"))
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_folders_that_are_not_there_or_hold_no_table() -> None:
    ended = command("old", "nowhere")
    assert (ended.stdout, ended.returncode) == ("", 2)
    assert ended.stderr == "error: nowhere: no such folder; give two folders of outputs of lgg-pack\n"
    for folder in (OLD, NEW):
        (folder / "slices.csv").unlink()
    with pytest.raises(BadInput, match=r"^old and new: no slices\.csv in either; give two folders"):
        main(Path("old"), Path("new"))


def test_other_files_of_the_stage(lines: Lines) -> None:
    """Masks on the grid of a scan may differ where the packed ones do not."""
    for folder, content in ((OLD, b"1"), (NEW, b"2")):
        (folder / "truth.npz").write_bytes(content)
        (folder / "patients.csv").write_bytes(b"the same")
    assert lines() == ["patients and slices: the same", "truth.npz: not the same"]
    (OLD / "patients.csv").unlink()
    (NEW / "truth.npz").write_bytes(b"1")
    assert lines() == ["patients and slices: the same", "patients.csv: only in the new version"]
