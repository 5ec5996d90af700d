"""A push in its three steps, and what is told of it."""

from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.store.objects import Objects
from gliaflow.store.records import Record, listed
from gliaflow.store.transfer import Missing, Transfer, find_missing, hashes, push, some
from tests.gliaflow.store.history import change, holding, opened
from tests.support.repos import Project

ONE, TWO = Record("a" * 64, "b" * 64), Record("a" * 64, "c" * 64)


def test_transfers_add_up() -> None:
    found = Transfer(1, 2, {ONE: ("x",)}, frozenset({ONE})) + Transfer(3, 4, {TWO: ()})
    assert found == Transfer(4, 6, {ONE: ("x",), TWO: ()}, frozenset({ONE}))


def test_what_is_incomplete_is_told_and_what_is_gone_counted() -> None:
    names = [f"{number:032}" for number in range(7)]
    found = Transfer(4, 6, {ONE: ("x",), TWO: names, Record("k", "d" * 64): ()}, frozenset({ONE}))
    assert list(found.lines("pushed")) == [
        "pushed 4 runs, 6 objects",
        f"incomplete: run cccccccccccc: missing, damaged or not copied: {', '.join(names[:5])}, 2 more",
        "incomplete: run dddddddddddd: missing, damaged or not copied: its record",
        "1 runs were not sent: what they made is neither here nor there, as after dvc gc",
    ]
    assert found.plain() == {
        "records": 4,
        "objects": 6,
        "incomplete": {"c" * 64: names, "d" * 64: []},
        "gone": ["b" * 64],
    }


def test_some_of_many_names() -> None:
    assert some(["a", "b"]) == "a, b"
    assert some([*"abc"], most=1) == "a, 2 more"
    assert some(["a"] * 2000) == "a, a, a, a, a, 1,995 more"
    assert some([]) == ""


def test_the_steps(computed: Project) -> None:
    with opened(computed) as repo:
        objects = Objects(repo, None, None, print)
        here = set(listed(repo.cache.legacy))
        one, *others = sorted(here)
        missing = find_missing(objects, None, set(others), verify=False)
        assert (missing.new, set(missing.runs), missing.damaged) == ({one}, {one}, set())
        assert missing.objects == missing.runs[one]
        assert push(objects, missing) == Transfer(1, len(missing.objects))
        again = find_missing(objects, [one], {one}, verify=False)
        assert again == Missing({}, set(), set(), set())
        assert push(objects, again) == Transfer()


def test_what_is_verified_counts_if_it_is_on_the_remote_already(computed: Project, tmp_path: Path) -> None:
    with opened(computed) as repo:
        objects = Objects(repo, None, None, print)
        push(objects, find_missing(objects, None, set(), verify=False))
        here = set(listed(repo.cache.legacy))
        assert find_missing(objects, None, here, verify=True) == Missing(
            find_missing(objects, None, set(), verify=False).runs, set(), set(), set()
        )
        oid = change(holding("1\np: 2\n", tmp_path / "store/files/md5"), "1\np: 4\n")  # of the same size
        record = min(here)
        change(tmp_path / "store/runs" / record.key[:2] / record.key / record.value, "")
        assert find_missing(objects, None, here, verify=False).objects == set()
        missing = find_missing(objects, None, here, verify=True)
        assert (hashes(missing.objects), missing.new) == ((oid,), {record})
        assert push(objects, missing) == Transfer(1, 1)


def test_a_run_that_is_named_and_private_is_refused(computed: Project) -> None:
    path = computed.root / "dvc.yaml"
    path.write_text(path.read_text().replace("outs: [three.txt]", "outs: [{three.txt: {push: false}}]"))
    with opened(computed) as repo:
        objects = Objects(repo, None, None, print)
        assert len(find_missing(objects, None, set(), verify=False).new) == 6
        with pytest.raises(UserError, match="has an output that says `push: false`: it cannot go to a remote"):
            find_missing(objects, listed(repo.cache.legacy), set(), verify=False)
