"""What changed between two data versions: small ones worked out by hand, and two that are really published."""

import json
from hashlib import md5
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gliaflow.cli import share
from gliaflow.errors import UserError
from gliaflow.versioning import diff as difference
from gliaflow.versioning import versions
from gliaflow.versioning.diff import Compared, compare, compare_slices
from tests.gliaflow.store.test_records import opened, teammate
from tests.gliaflow.versioning.test_versions import share as said
from tests.support.repos import Project, environment, stock

HEAD = "slice,patient,institution,number,tumour_px\n"
BEFORE = "0,P1,CS,1,0\n1,P1,CS,2,5\n2,P2,DU,1,0\n3,P2,DU,2,3\n4,P2,DU,10,0\n5,P3,EZ,1,1\n6,P4,FG,1,0\n"
AFTER = "0,P0,HT,1,7\n1,P1,CS,1,0\n2,P1,CS,2,6\n3,P2,DU,1,0\n4,P2,DU,3,9\n5,P2,DU,10,0\n6,P4,FG,1,0\n"
OF_AFTER = [9, 0, 1, 2, 9, 4, 6]  # the rows of BEFORE that those of AFTER hold the pixels of; 9 is a new one


def table(rows: str) -> pd.DataFrame:
    return pd.read_csv(StringIO(HEAD + rows))


def pixels(rows: list[int]) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    """N 2 2, the first pixel of each the number given."""
    array = np.zeros((len(rows), 2, 2), dtype=np.uint8)
    array[:, 0, 0] = rows
    return array


def test_names() -> None:
    assert compare(["b", "a", "d"], ["c", "a", "d"], lambda name: name == "d") == Compared(["c"], ["b"], ["a"], 1)
    assert str(Compared(["c"], [], ["a"], 1200)) == "1 added, 0 removed, 1 changed, 1,200 the same"


def test_slices_are_known_by_patient_and_number_wherever_they_lie() -> None:
    images, masks = pixels(OF_AFTER), pixels(OF_AFTER)
    images[3, 1, 1] = masks[2, 1, 1] = 1  # P2 1 and P1 2
    arrays = {"images.npy": (pixels([*range(7)]), images), "masks.npy": (pixels([*range(7)]), masks)}
    found = compare_slices(table(BEFORE), table(AFTER), arrays)
    assert found.patients == Compared(["P0"], ["P3"], ["P1", "P2"], 1)
    assert found.slices == Compared([("P0", 1), ("P2", 3)], [("P2", 2), ("P3", 1)], [("P1", 2), ("P2", 1)], 3)
    assert found.differing == {"slices.csv": 1, "images.npy": 1, "masks.npy": 1}
    assert found.notes == []


def test_equal_slices_are_equal_with_nan_and_without_arrays() -> None:
    floats = np.full((7, 2), np.nan)
    assert compare_slices(table(BEFORE), table(BEFORE), {"images.npy": (floats, floats.copy())}).slices.same == 7
    assert compare_slices(table(BEFORE), table(BEFORE), {}).patients == Compared([], [], [], 4)


@pytest.mark.parametrize(
    ("other", "kind"), [(np.zeros((7, 3, 3), np.uint8), "3 × 3 uint8"), (np.zeros((7, 2, 2), ">u2"), "2 × 2 >u2")]
)
def test_slices_of_another_kind_are_all_changed(
    other: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]", kind: str
) -> None:
    found = compare_slices(table(BEFORE), table(AFTER), {"masks.npy": (pixels([0] * 7), other)}, ("v1", "v2"))
    assert (len(found.slices.changed), found.slices.same, found.differing["masks.npy"]) == (5, 0, 5)
    assert found.notes == [f"a slice of masks.npy is 2 × 2 uint8 in v1 and {kind} in v2: every common slice is changed"]


def test_no_common_slice() -> None:
    arrays = {"masks.npy": (pixels([1]), pixels([1]))}
    found = compare_slices(table("0,P1,CS,1,0\n"), table("0,P2,CS,1,0\n"), arrays)
    assert found.slices == Compared([("P2", 1)], [("P1", 1)], [], 0)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have the files in v1/ and v2/ be two versions, without DVC; which of them are asked for."""
    monkeypatch.chdir(tmp_path)
    found: list[str] = []

    def read(_: object, name: str) -> dict[str, Any]:
        files = {str(path.relative_to(name)): path.read_bytes() for path in Path(name).rglob("*") if path.is_file()}
        outputs = {path: {"hash": md5(text).hexdigest(), "bytes": len(text)} for path, text in files.items()}
        return {"outputs": outputs, "metrics": {}, "licence": ["CC0"], "parents": [], "bytes": 0}

    def files(_: object, name: str, paths: list[str], *__: object) -> dict[str, Path]:
        found.extend(f"{name}/{path}" for path in paths)
        return {path: Path(name, path) for path in paths}

    monkeypatch.setattr(versions, "read", read)
    monkeypatch.setattr(versions, "files", files)
    for name in ("v1", "v2"):
        save(Path(name, "d"), BEFORE)
    return found


def save(folder: Path, rows: str) -> None:
    """A table and its arrays."""
    folder.mkdir(parents=True)
    (folder / "slices.csv").write_text(HEAD + rows)
    for name in ("images.npy", "masks.npy"):
        np.save(folder / name, pixels([*range(7)]))


def lines() -> list[str]:
    """What is said of the slices of v1 and v2, stripped."""
    _, *paragraphs, _, _ = difference.between(None, "v1", "v2").split("\n\n")
    return [line.strip() for paragraph in paragraphs for line in paragraph.splitlines()]


def test_only_what_differs_is_read(asked: list[str]) -> None:
    assert difference.between(None, "v1", "v2") == "v1 and v2 are equal: 3 outputs, 0 bytes, 0 metrics\n"
    Path("v1/other.txt").touch()
    assert lines() == ["d/slices.csv", "patients and slices: the same"]
    assert asked == []
    Path("v2/d/slices.csv").write_text(HEAD + BEFORE.replace("P1,CS,2,5", "P1,CS,2,6"))
    assert "differing in slices.csv: 1" in lines()
    assert asked == ["v1/d/slices.csv", "v2/d/slices.csv"]
    np.save("v2/d/masks.npy", pixels([*range(6), 9]))
    assert "differing in slices.csv: 1, masks.npy: 1" in lines()
    assert set(asked) == {f"{name}/d/{file}" for name in ("v1", "v2") for file in ("slices.csv", "masks.npy")}


def test_slices_that_only_changed_places_in_the_table_are_changed_in_equal_arrays(asked: list[str]) -> None:
    Path("v2/d/slices.csv").write_text(HEAD + BEFORE.replace("P1,CS,1,0\n1,P1,CS,2,5", "P1,CS,2,5\n1,P1,CS,1,0"))
    assert "changed: P1 1, P1 2" in lines()
    assert "differing in images.npy: 2, masks.npy: 2" in lines()
    assert len({*asked}) == 6


@pytest.mark.usefixtures("asked")
def test_what_cannot_be_compared_is_said_and_the_rest_is_compared() -> None:
    Path("v1/d/images.npy").unlink()
    np.save("v2/d/masks.npy", pixels([1, 2]))
    assert lines()[1:3] == ["patients: 0 added, 0 removed, 0 changed, 4 the same",
                            "slices: 0 added, 0 removed, 0 changed, 7 the same"]  # fmt: skip
    broken = "masks.npy of v2 is no array of 7 slices: not compared"
    assert lines()[3:] == ["images.npy is not in v1: not compared", broken]
    Path("v2/d/masks.npy").write_bytes(b"\x93NUMPY")
    assert lines()[4] == broken
    Path("v2/d/slices.csv").write_text("a,b\n1,2\n")
    assert lines() == [
        "d/slices.csv",
        "the table of v2 is not one of slice, patient, institution, number, tumour_px: not compared",
    ]
    Path("v2/d/slices.csv").unlink()
    assert lines() == ["d/slices.csv", "the table is not in v2: not compared"]
    Path("v1/d/slices.csv").unlink()
    assert lines() == []


def test_many_names_are_a_few_and_how_many_more(asked: list[str]) -> None:
    Path("v2/d/slices.csv").write_text(HEAD + BEFORE.replace(",P", ",Q"))
    np.save("v2/d/masks.npy", pixels([0] * 7))
    assert lines()[1:3] == ["patients: 4 added, 4 removed, 0 changed, 0 the same", "added: Q1, Q2, Q3, Q4"]
    assert "removed: P1 1, P1 2, P2 1, P2 2, P2 10, 2 more" in lines()
    assert asked


def pack(project: Project, rows: str, images: list[int], masks: list[int], metrics: object, more: str) -> None:
    """Have one stage make these, and commit; the tables of `held` and the metrics are in git."""
    raw = project.root / "raw"
    project.write({"raw/slices.csv": HEAD + rows, "raw/m.json": json.dumps(metrics), "raw/more.txt": more})
    np.save(raw / "images.npy", pixels(images))
    np.save(raw / "masks.npy", pixels(masks))
    packed = [f"data/{name}" for name in ("slices.csv", "images.npy", "masks.npy", "more.txt")]
    cmd = [
        "mkdir -p data held",
        "cp raw/*.npy raw/slices.csv raw/more.txt data",
        "cp raw/slices.csv held",
        "cp raw/m.json .",
    ]
    held = {"held/slices.csv": {"cache": False}}
    project.pipeline(
        {"pack": {"cmd": cmd, "deps": ["raw"], "outs": [*packed, held], "metrics": [{"m.json": {"cache": False}}]}}
    )
    assert stock(project.root) == ["pack"]
    project.commit()


def publish(project: Project, name: str, licence: str) -> None:
    """Push, and name it."""
    project.dvc("push")
    with opened(project) as repo:
        versions.publish(repo, name, licence, None, say=lambda _: None)


EXPECTED = """\
v1 → v2

data/slices.csv
  patients: 1 added, 1 removed, 2 changed, 1 the same
    added: P0
    removed: P3
    changed: P1, P2
  slices: 2 added, 2 removed, 2 changed, 3 the same
    added: P0 1, P2 3
    removed: P2 2, P3 1
    changed: P1 2, P2 1
    differing in slices.csv: 1, images.npy: 1, masks.npy: 1

held/slices.csv
  patients: 1 added, 1 removed, 2 changed, 1 the same
    added: P0
    removed: P3
    changed: P1, P2
  slices: 2 added, 2 removed, 1 changed, 4 the same
    added: P0 1, P2 3
    removed: P2 2, P3 1
    changed: P1 2
    differing in slices.csv: 1

outputs: 0 added, 0 removed, 5 changed, 1 the same
  changed  data/images.npy  156 → 156 bytes
  changed  data/more.txt    2 → 4 bytes
  changed  data/slices.csv  128 → 128 bytes
  changed  held/slices.csv  128 → 128 bytes
  changed  m.json           65 → 69 bytes

metrics: 1 added, 1 removed, 2 changed, 2 the same
                 v1       v2  change
  m.json
    dice.mean   0.9  0.91235  +0.01235
    dice.of    last     best  changed
    new           –        2  added
    old           1        –  removed

licence: CC0 → MIT
parents: none → v1
"""


def test_two_published_versions_one_of_which_is_only_on_the_remote(tmp_path: Path) -> None:
    project = Project(tmp_path / "project", environment(tmp_path, ""))  # no flow runs, so no server is needed
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    same = {"n": 3, "p": float("nan")}
    masks = [0, 0, 0, 1, 0, 0, 0]  # the same file: of P2 2 in v1, of P2 1 in v2
    pack(project, BEFORE, [*range(7)], masks, {"dice": {"mean": 0.9, "of": "last"}, "old": 1, **same}, "1\n")
    publish(project, "v1", "CC0")
    images = OF_AFTER.copy()
    images[3] = 100
    pack(project, AFTER, images, masks, {"dice": {"mean": 0.91235, "of": "best"}, "new": 2, **same}, "two\n")
    publish(project, "v2", "MIT")

    other = teammate(project, tmp_path / "other" / "twin")
    other.dvc("fetch")
    cache, store = other.root / ".dvc/cache/files/md5", tmp_path / "store/files/md5"
    here = {path for path in cache.rglob("*") if path.is_file()}
    with opened(other) as repo:
        outputs = versions.read(repo, "v1")["outputs"]
    oid = outputs["data/images.npy"]["hash"]
    whole = (store / oid[:2] / oid[2:]).read_bytes()
    (store / oid[:2] / oid[2:]).chmod(0o644)
    (store / oid[:2] / oid[2:]).write_bytes(whole[:-1] + b"x")
    assert f"data/images.npy: object {oid} is missing or damaged" in said(other, "diff", "v1", "v2", expect=2)
    (store / oid[:2] / oid[2:]).write_bytes(whole)

    assert said(other, "diff", "v1", "v2") == EXPECTED
    fetched = {path.parent.name + path.name for path in cache.rglob("*") if path.is_file() and path not in here}
    assert fetched == {outputs[f"data/{name}"]["hash"] for name in ("slices.csv", "images.npy")}

    with opened(other) as repo:
        assert "\n    n             3        3\n" in difference.between(repo, "v1", "v2", every=True)
        assert difference.between(repo, "v2", "v2") == "v2 and v2 are equal: 6 outputs, 641 bytes, 5 metrics\n"
        with pytest.raises(UserError, match=r"'v9' is no data version .* there are: v2, v1"):
            difference.between(repo, "v1", "v9")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (["diff", "v1"], "diff takes the names of two versions (given: v1)"),
        (["diff"], "diff takes the names of two versions (given: none)"),
        (["show", "v1", "v2"], "show takes the name of a version (given: v1, v2)"),
        (["push", "v1", "v2"], "push takes no name (given: v1, v2)"),
        (["list", "v1"], "list takes no name (given: v1)"),
    ],
)
def test_as_many_names_as_the_action_takes(line: list[str], message: str) -> None:
    with pytest.raises(UserError) as caught:
        share.main(*line)  # type: ignore[arg-type]
    assert str(caught.value) == message
