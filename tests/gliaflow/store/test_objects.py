"""Objects that a remote lacks, and their way there and back."""

import shutil
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from dvc_data.hashfile.hash_info import HashInfo

from gliaflow.errors import UserError
from gliaflow.store.objects import LEGACY, Objects, cache_of, inside, path_of
from tests.gliaflow.store.history import change, holding, opened
from tests.support.repos import Project


@pytest.fixture
def told() -> list[str]:
    """What was told."""
    return []


@pytest.fixture
def objects(computed: Project, told: list[str]) -> Iterator[Objects]:
    """Those of a project with a remote that is empty."""
    with opened(computed) as repo:
        yield Objects(repo, None, None, told.append)


@pytest.fixture
def named(objects: Objects) -> dict[str, Any]:
    """The objects of dvc.lock, by hash."""
    used = objects.repo.used_objs().values()
    return {one.value: one for found in used for one in found}


def test_all_is_missing_then_sent_then_fetched(
    objects: Objects, named: dict[str, Any], told: list[str], computed: Project, tmp_path: Path
) -> None:
    wanted = set(named.values())
    assert objects.missing(wanted) == wanted
    assert objects.send(wanted) == wanted
    assert told == [f"pushing {len(wanted)} objects"]
    assert objects.missing(wanted) == set()
    shutil.rmtree(computed.root / ".dvc/cache")
    assert not any(map(objects.has, wanted))
    lost = holding("p: 3\n", tmp_path / "store/files/md5")
    lost.unlink()
    listing = next(one for one in wanted if one.isdir)  # which DVC brings once all of its folder is there
    assert objects.fetch(wanted) == {named[lost.parent.name + lost.name], listing}
    assert told[-1] == "2 objects could not be fetched; fetch again for the rest"
    assert objects.damaged == set()


def test_another_size_is_hashed_and_with_verify_all(
    objects: Objects, named: dict[str, Any], told: list[str], tmp_path: Path
) -> None:
    objects.send(named.values())
    store = tmp_path / "store/files/md5"
    longer = change(holding("1\n", store), "1\n2\n")
    assert objects.missing(named.values()) == {named[longer]}
    same = change(holding("p: 3\n", store), "p: 4\n")
    assert objects.missing(named.values()) == {named[longer]}
    assert objects.missing(named.values(), verify=True) == {named[longer], named[same]}
    assert told[-1] == f"hashing {len(named)} objects of the remote"
    assert objects.damaged == {longer, same}
    assert objects.send(objects.missing(named.values(), verify=True)) == {named[longer], named[same]}
    assert objects.missing(named.values(), verify=True) == set()


def test_what_is_here_in_no_size_is_taken_as_it_is_there(
    objects: Objects, named: dict[str, Any], computed: Project
) -> None:
    objects.send(named.values())
    shutil.rmtree(computed.root / ".dvc/cache")
    assert objects.missing(named.values()) == set()


def test_damaged_objects_are_not_sent(
    objects: Objects, named: dict[str, Any], told: list[str], computed: Project
) -> None:
    cache = computed.root / ".dvc/cache/files/md5"
    dropped, kept = change(holding("1\n", cache), "2\n"), change(holding("p: 3\n", cache), "p: 4\n", 0o444)
    bad = {named[dropped], named[kept]}
    assert objects.send(named.values()) == set(named.values()) - bad
    assert f"object {dropped} was damaged in this cache, and is dropped" in told
    assert f"object {kept} is damaged in this cache, and is not sent" in told
    assert objects.damaged == {dropped, kept}
    assert not path_of(objects.repo, named[dropped]).exists()


def test_objects_of_dvc_2_lie_in_a_store_of_their_own(objects: Objects, computed: Project, tmp_path: Path) -> None:
    oid = md5(b"old\n").hexdigest()
    old = HashInfo(LEGACY, oid)
    path = path_of(objects.repo, old)
    assert path == computed.root / ".dvc/cache" / oid[:2] / oid[2:]
    assert cache_of(objects.repo, old) is objects.repo.cache.legacy
    assert cache_of(objects.repo, HashInfo("md5", oid)) is objects.repo.cache.local
    path.parent.mkdir()
    path.write_text("old\n")
    assert objects.missing([old]) == {old} == objects.send([old])
    assert (tmp_path / "store" / oid[:2] / oid[2:]).read_text() == "old\n"
    path.chmod(0o644)
    path.unlink()
    assert objects.fetch([old]) == set()
    assert path.read_text() == "old\n"


def test_a_listing_names_the_files_of_a_folder(objects: Objects, named: dict[str, Any]) -> None:
    (listing,) = (one for one in named.values() if one.isdir)
    found = {key: path_of(objects.repo, one).read_text() for key, one in inside(objects.repo, listing)}
    assert found == {("a",): "1\n", ("b",): "p: 3\n"}


def test_a_remote_that_is_not_there_is_told(computed: Project) -> None:
    with opened(computed) as repo, pytest.raises(UserError, match="remote 'none' doesn't exist"):
        Objects(repo, "none", None, print)
