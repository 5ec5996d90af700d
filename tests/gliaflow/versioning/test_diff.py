"""What changed between two data versions that are really published."""

import json
from pathlib import Path
from typing import Any

import pytest

from gliaflow.errors import UserError
from gliaflow.versioning.compared import Compared, by_name, compare_metrics
from gliaflow.versioning.diff import Difference, compare
from gliaflow.versioning.versions import Facts, Version, read
from tests.gliaflow.store.history import change, opened, teammate
from tests.gliaflow.versioning.published import publish
from tests.support.repos import Project, environment, stock

RAW = ("table.csv", "images", "masks", "more.txt")
BEFORE = dict(zip(RAW, ("P1,1\nP2,2\nP3,3\n", "0123456\n", "0001000\n", "1\n"), strict=True))
AFTER = dict(zip(RAW, ("P0,7\nP1,1\nP2,4\n", "9012946\n", "0001000\n", "two\n"), strict=True))


def version(name: str, outputs: dict[str, tuple[str, int]], **more: Any) -> Version:
    """A version whose outputs have these hashes and sizes."""
    facts = {path: Facts(value, size, 1) for path, (value, size) in outputs.items()}
    common: dict[str, Any] = {
        "commit": "a" * 40,
        "parents": (),
        "licence": "CC0",
        "files": 1,
        "bytes": 1,
        "metrics": {},
    }
    return Version(**{**common, "name": name, "outputs": facts, **more})


def difference(old: Version, new: Version, drivers: dict[str, tuple[str, ...]]) -> Difference:
    """One version against another, without a repository."""
    outputs = Compared.of(old.outputs, new.outputs, lambda path: old.outputs[path].hash == new.outputs[path].hash)
    return Difference(old, new, outputs, compare_metrics(by_name(old.metrics), by_name(new.metrics)), drivers)


def pack(project: Project, raw: dict[str, str], metrics: object) -> None:
    """Have one stage make these, and commit; what is in `held` and the metrics are in git."""
    project.write({f"raw/{name}": text for name, text in raw.items()} | {"raw/m.json": json.dumps(metrics)})
    cmd = ["mkdir -p data held", f"cp {' '.join(f'raw/{name}' for name in RAW)} data", "cp raw/table.csv held"]
    held = {"held/table.csv": {"cache": False}}
    stage = {
        "cmd": [*cmd, "cp raw/m.json ."],
        "deps": ["raw"],
        "outs": [*(f"data/{name}" for name in RAW), held],
        "metrics": [{"m.json": {"cache": False}}],
        "meta": {"diff": """echo patients; sh -c 'cd "$0"; diff -r -x m.json . "$1" | grep "^[<>]" | LC_ALL=C sort'"""},
    }
    silent = {"cmd": "cp raw/more.txt silent.txt", "deps": ["raw"], "outs": ["silent.txt"]}
    project.pipeline({"pack": stage, "silent": silent})
    assert stock(project.root) == ["pack", "silent"]
    project.commit()


EXPECTED = """\
v1 → v2

pack:
  patients
  < 0123456
  < 1
  < P2,2
  < P2,2
  < P3,3
  < P3,3
  > 9012946
  > P0,7
  > P0,7
  > P2,4
  > P2,4
  > two

outputs: 0 added, 0 removed, 6 changed, 1 the same
  changed  data/images     8 → 8 bytes
  changed  data/more.txt   2 → 4 bytes
  changed  data/table.csv  15 → 15 bytes
  changed  held/table.csv  15 → 15 bytes
  changed  m.json          65 → 69 bytes
  changed  silent.txt      2 → 4 bytes

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
    pack(project, BEFORE, {"dice": {"mean": 0.9, "of": "last"}, "old": 1, **same})
    project.dvc("push")
    publish(project, "v1", "CC0")
    pack(project, AFTER, {"dice": {"mean": 0.91235, "of": "best"}, "new": 2, **same})
    project.dvc("push")
    publish(project, "v2", "MIT")

    other = teammate(project, tmp_path / "other" / "twin")
    other.dvc("fetch")
    cache, store = other.root / ".dvc/cache/files/md5", tmp_path / "store/files/md5"
    here = {path for path in cache.rglob("*") if path.is_file()}
    with opened(other) as repo:
        outputs = read(repo, "v1").outputs
        oid = outputs["data/images"].hash
        path = store / oid[:2] / oid[2:]
        change(path, "0123457\n")
        with pytest.raises(UserError, match=f"data/images: object {oid} is missing or damaged"):
            compare(repo, "v1", "v2")
        path.parent.mkdir(exist_ok=True)
        path.unlink(missing_ok=True)  # on a local remote DVC may have removed it by itself
        path.write_text(BEFORE["images"])

    with opened(other) as repo:
        found = compare(repo, "v1", "v2")
        assert found.text() == EXPECTED
        fetched = {path.parent.name + path.name for path in cache.rglob("*") if path.is_file() and path not in here}
        assert fetched == {outputs[f"data/{name}"].hash for name in ("table.csv", "images", "more.txt")}
        assert "\n    n             3        3\n" in found.text(every=True)
        assert compare(repo, "v2", "v2").text() == "v2 and v2 are equal: 7 outputs, 123 bytes, 5 metrics\n"
        with pytest.raises(UserError, match=r"'v9' is no data version .* there are: v2, v1"):
            compare(repo, "v1", "v9")
        json.dumps(found.plain())
        assert found.plain()["stages"]["pack"][0] == "patients"


def test_a_version_against_an_older_one_as_plain_data() -> None:
    old = version("v1", outputs={"a": ("1", 1), "b": ("2", 2)}, metrics={"m.json": {"x": 1, "y": 2}})
    new = version("v2", outputs={"b": ("3", 4), "c": ("4", 1)}, metrics={"m.json": {"x": 1, "y": 3}}, parents=("v1",))
    assert difference(old, new, {"s": ("line",)}).plain() == {
        "old": "v1",
        "new": "v2",
        "equal": False,
        "outputs": [
            {"path": "c", "change": "added"},
            {"path": "a", "change": "removed"},
            {"path": "b", "change": "changed"},
        ],
        "metrics": [{"file": "m.json", "metric": "y", "old": 2, "new": 3, "change": "changed"}],
        "same": {"outputs": 0, "metrics": 1},
        "licence": ["CC0", "CC0"],
        "parents": [[], ["v1"]],
        "stages": {"s": ["line"]},
    }
    assert (
        "  added    c  1 bytes\n  removed  a  1 bytes\n  changed  b  2 → 4 bytes\n" in difference(old, new, {}).text()
    )


def test_the_same_data_under_two_names_is_equal_but_for_its_licence() -> None:
    old = version("v1", outputs={"a": ("1", 1)})
    new = version("v2", outputs={"a": ("1", 1)}, parents=("v1",), licence=("CC0",))
    assert difference(old, new, {}).equal
    other = version("v3", outputs={"a": ("1", 1)}, licence=("CC0", "MIT"))
    assert difference(old, other, {}).text().endswith("\nlicence: CC0 → CC0, MIT\n")
