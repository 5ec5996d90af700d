"""A lock file that gets its entries in any order is the one that DVC writes one stage after another."""

import os
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc.dvcfile import Lockfile
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.stage import serialize
from dvc.utils.serialize import dumps_yaml, parse_yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gliaflow.lockfiles import lockfile as module
from gliaflow.lockfiles.lockfile import LockFile, dumped_by
from gliaflow.lockfiles.whole import Files
from tests.support.repos import Project

EXAMPLES = int(os.environ.get("GLIAFLOW_TEXTS", "40"))
NAMES = "abcdefgh"
VALUES: list[dict[str, Any]] = [
    {
        "cmd": "cp in out",
        "outs": [{"path": "out", "hash": "md5", "md5": "d41d8cd98f00b204e9800998ecf8427e", "size": 1}],
    },
    {"cmd": ["python -m work " + "--an option " * 12, "true"], "deps": [{"path": "in/a b", "md5": "1" * 32}]},
    {"cmd": "a\nb: 'c' # d", "params": {"params.yaml": {"on": True, "é": ["x", {"y": None}], "t": "2020-01-01"}}},
    {
        "cmd": "r",
        "params": {"params.yaml": {"rate": 7.4727225971465945e-06, "deep": {"rate": -2.0061779959619276e118}}},
    },
]
EDITS: dict[str, Callable[[str], str]] = {
    "none": lambda text: text,
    "a note above": lambda text: f"# a note\n{text}",
    "a note inside": lambda text: text.replace("    cmd:", "    # a note\n    cmd:", 1),
    "a note behind": lambda text: text.replace("cmd: cp in out", "cmd: cp in out  # a note"),
    "quotes": lambda text: text.replace("cmd: cp in out", 'cmd: "cp in out"').replace("path: out", "path: 'out'"),
    "a block": lambda text: text.replace("cmd: cp in out", "cmd: |-\n      cp in out"),
    "lines": lambda text: text.replace("\n", "\r\n"),
    "old lines": lambda text: text.replace("\n", "\r"),
    "indented": lambda text: (
        text.replace("    outs:\n    - path: out\n", "    outs:\n        - path: out\n")
        .replace("      hash: md5\n      md5: d", "          hash: md5\n          md5: d")
        .replace("      size", "          size")
    ),
    "a document": lambda text: f"---\n{text}",
    "flow": lambda text: (
        text.replace("    outs:\n    - path: out\n", "    outs: [{path: out}]\n") if "hash" not in text else text
    ),
    "anchors": lambda text: text.replace("cmd: cp in out", "cmd: &it cp in out"),
    "no end": lambda text: text.rstrip("\n"),
    "blank lines": lambda text: text.replace("    cmd:", "\n    cmd:"),
}


@pytest.fixture
def repo(project: Project, monkeypatch: pytest.MonkeyPatch) -> Repo:
    """A repository whose stages are what `stage` makes."""
    for where in (serialize, module):
        monkeypatch.setattr(where, "to_single_stage_lockfile", lambda stage, **_: stage.value)
    monkeypatch.chdir(project.root)
    return Repo()


def stage(name: str, value: dict[str, Any]) -> Any:
    """What both take of a stage."""
    return SimpleNamespace(name=name, value=value)


def opened(repo: Repo, path: Path, plan: list[Any]) -> LockFile:
    """The file as a run opens it."""
    places = {one.name: place for place, one in enumerate(plan)}
    known = parse_yaml(path.read_text(), path) if path.exists() else {}
    return LockFile(path, places, known, Files(repo.tmp_dir), dumped_by(repo))


def by_dvc(repo: Repo, path: Path, plan: list[Any]) -> bytes:
    """What DVC makes of the file, one stage after another."""
    for one in plan:
        Lockfile(repo, str(path)).dump_stages([one])
    return path.read_bytes()


values = st.integers(0, len(VALUES) - 1)


@given(
    base=st.dictionaries(st.sampled_from(NAMES), values, max_size=4),
    edit=st.sampled_from(["none", "none", "none", *EDITS]),
    plan=st.dictionaries(st.sampled_from(NAMES), values, min_size=1, max_size=6),
    seed=st.integers(0, 1000),
)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize="GLIAFLOW_TEXTS" not in os.environ,
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)
def test_in_whatever_order_stages_end(
    repo: Repo, base: dict[str, int], edit: str, plan: dict[str, int], seed: int
) -> None:
    check(repo, base, edit, plan, seed)


@pytest.mark.parametrize("edit", EDITS)
def test_files_that_others_edited(repo: Repo, edit: str) -> None:
    for seed in range(3):
        check(repo, dict(zip("axf", range(3), strict=True)), edit, {"d": 0, "a": 3, "b": 1, "x": 3, "g": 2}, seed)


def check(repo: Repo, base: dict[str, int], edit: str, plan: dict[str, int], seed: int) -> None:
    ours, theirs = Path(repo.tmp_dir) / "ours.lock", Path(repo.tmp_dir) / "theirs.lock"
    stages = [stage(name, VALUES[number]) for name, number in plan.items()]
    for path in (ours, theirs):
        path.unlink(missing_ok=True)
        if base:
            held = {"schema": "2.0", "stages": {name: VALUES[number] for name, number in base.items()}}
            path.write_bytes(EDITS[edit](dumps_yaml(held)).encode())
    expected = by_dvc(repo, theirs, stages)
    file, ended = opened(repo, ours, stages), random.Random(seed).sample(stages, len(stages))
    for number, one in enumerate(ended, 1):
        file.write([one])
        held = parse_yaml(ours.read_text(), ours)["stages"]
        assert all(held[ready.name] == ready.value for ready in ended[:number])
    assert ours.read_bytes() == expected


def test_an_entry_that_has_not_changed_leaves_the_file_alone(repo: Repo) -> None:
    path, one = Path("dvc.lock"), stage("a", VALUES[0])
    assert opened(repo, path, [one]).write([one])
    before = path.stat()
    assert not opened(repo, path, [one]).write([one])
    assert path.stat() == before


@pytest.mark.parametrize("note", ["", "# a note\n"])
def test_what_others_write_meanwhile_stays(repo: Repo, note: str) -> None:
    path, plan = Path("dvc.lock"), [stage(name, VALUES[0]) for name in "abc"]
    file = opened(repo, path, plan)
    file.write([plan[2]])
    Lockfile(repo, "dvc.lock").dump_stages([stage("x", VALUES[1])])
    path.write_text(note + path.read_text())
    file.write([plan[0]])
    Lockfile(repo, "dvc.lock").dump_stages([stage("y", VALUES[2])])
    file.write([plan[1]])
    held = parse_yaml(path.read_text(), path)["stages"]
    assert held == {"a": VALUES[0], "b": VALUES[0], "c": VALUES[0], "x": VALUES[1], "y": VALUES[2]}
    assert path.read_text().startswith(note)
    if not note:
        assert list(held) == ["a", "b", "c", "x", "y"]


def test_a_run_after_one_that_was_killed_puts_entries_in_between(repo: Repo) -> None:
    path, plan = Path("dvc.lock"), [stage(name, VALUES[0]) for name in "zabcd"]
    opened(repo, path, plan[:1]).write([plan[0]])
    Files(repo.tmp_dir).finished({path: "zabcd"})
    opened(repo, path, plan).write([plan[3]])  # and it is killed
    file = opened(repo, path, plan)
    file.write([plan[4]])
    file.write([plan[1]])
    again = opened(repo, path, plan)  # once more
    again.write([plan[2]])
    assert list(parse_yaml(path.read_text(), path)["stages"]) == list("zabcd")


def test_what_another_run_adds_meanwhile_stands_in_dvcs_order_too(repo: Repo) -> None:
    path, plan = Path("dvc.lock"), [stage(name, VALUES[0]) for name in "zabcd"]
    opened(repo, path, plan[:1]).write([plan[0]])
    one, other = (opened(repo, path, plan) for _ in range(2))
    one.write([plan[3]])
    other.write([plan[1]])
    one.write([plan[2]])
    opened(repo, path, plan).write([plan[4]])
    assert list(parse_yaml(path.read_text(), path)["stages"]) == list("zabcd")


@pytest.mark.parametrize("last", [True, False])
def test_what_dvc_adds_meanwhile_gets_its_place(repo: Repo, last: bool) -> None:
    path, plan = Path("dvc.lock"), [stage(name, VALUES[0]) for name in "zabcd"]
    opened(repo, path, plan[:1]).write([plan[0]])
    Lockfile(repo, "dvc.lock").dump_stages([stage("other", VALUES[1])])
    Files(repo.tmp_dir).finished({path: "zabcd"})
    file = opened(repo, path, plan)
    file.write([plan[2]])
    Lockfile(repo, "dvc.lock").dump_stages([plan[1]])  # a `dvc repro` that had begun before
    if last:
        assert file.news("a")
        assert file.finish()
        assert not file.finish()
    else:
        file.write([plan[3]])
    assert "".join(parse_yaml(path.read_text(), path)["stages"]) == ("zotherab" if last else "zotherabc")


def test_a_run_that_adds_nothing_leaves_the_order_to_others(repo: Repo) -> None:
    path, plan = Path("dvc.lock"), [stage(name, VALUES[0]) for name in "ab"]
    file = opened(repo, path, plan)
    assert not file.finish()
    assert not path.exists()
    for one in (plan[1], plan[0]):
        Lockfile(repo, "dvc.lock").dump_stages([one])
    assert not file.finish()
    assert list(parse_yaml(path.read_text(), path)["stages"]) == ["b", "a"]


def test_a_file_that_is_no_yaml_is_told_of_and_stays(repo: Repo) -> None:
    path, one = Path("dvc.lock"), stage("a", VALUES[0])
    for text in ("schema: '2.0'\nstages: {\n", "<<<<<<< ours\na: b\n"):
        path.write_text("")
        file = opened(repo, path, [one])
        path.write_text(text)
        with pytest.raises(DvcException, match="structure is corrupted"):
            file.write([one])
        assert path.read_text() == text
        path.write_text("")
        assert file.write([one])


def test_bytes_that_are_no_text_are_told_of(repo: Repo) -> None:
    path, one = Path("dvc.lock"), stage("a", VALUES[0])
    file = opened(repo, path, [one])
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(DvcException, match="utf-8"):
        file.write([one])
    assert path.read_bytes() == b"\xff\xfe"
