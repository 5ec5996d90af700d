"""Objects that come from the remote or were there: hashed again, and named if they cannot be had."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from gliaflow.errors import UserError
from gliaflow.versioning.fetching import fetch, fetch_listings
from gliaflow.versioning.outputs import outputs
from tests.gliaflow.store.history import change, holding, opened, teammate
from tests.gliaflow.versioning.published import get, publish, push
from tests.support.repos import Project


def test_what_is_not_whole_in_the_cache_is_fetched(whole: Project) -> None:
    push(whole)
    cache = whole.root / ".dvc/cache/files/md5"
    holding("1\n", cache).unlink()
    for text, mode in (("1\np: 3\n", 0o444), ("p: 3\n", 0o644)):  # DVC trusts what is write-protected
        change(holding(text, cache), "4\n", mode)
    with opened(whole) as repo:
        fetch(repo, outputs(repo), None)
    assert all(holding(text, cache).exists() for text in ("1\n", "1\np: 3\n", "p: 3\n"))
    shutil.rmtree(cache)
    with opened(whole) as repo:
        fetch_listings(repo, outputs(repo), None)
    assert [path.suffix for path in cache.rglob("*") if path.is_file()] == [".dir"]


def test_a_damaged_or_missing_object_is_named_and_nothing_is_written(whole: Project, tmp_path: Path) -> None:
    push(whole)
    publish(whole, "v1")
    bad = holding("1\np: 3\n", tmp_path / "store/files/md5")
    oid = change(bad, "1\np: 4\n")
    other = teammate(whole, tmp_path / "other" / "twin")
    for _ in range(2):
        with pytest.raises(UserError, match=f"three.txt: object {oid} is missing or damaged on the remote"):
            get(other, "v1", other.root / "v1")
        bad.unlink(missing_ok=True)  # on a local remote DVC removes it by itself
    assert not (other.root / "v1").exists()


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_text("[]")])
def test_a_version_whose_listing_is_gone_is_told(
    whole: Project, tmp_path: Path, damage: Callable[[Path], object]
) -> None:
    push(whole)
    publish(whole, "v1")
    for listing in (tmp_path / "store/files/md5").rglob("*.dir"):
        listing.chmod(0o644)
        damage(listing)
    other = teammate(whole, tmp_path / "other" / "twin")
    with pytest.raises(UserError, match=r"^'two': the listing of its folder, .* is missing or damaged on the remote"):
        get(other, "v1", other.root / "v1")
    assert not (other.root / "v1").exists()
