"""Have the objects of outputs in the cache, each hashed again, whether it comes from the remote or was there."""

from collections.abc import Collection, Iterable
from typing import Any

from gliaflow.errors import UserError
from gliaflow.store import files
from gliaflow.store.objects import cache_of, path_of
from gliaflow.store.remote import Remote
from gliaflow.store.repository import REPAIR
from gliaflow.versioning.outputs import Output


def fetch(repo: Any, found: Iterable[Output], remote: str | None) -> None:
    """Have all objects of these outputs in the cache, each hashed again, also those that were there.

    Raises:
        UserError: an object is damaged or missing here and on the remote; names the output and the object.
        TransientError: the remote cannot be reached.
    """
    found = list(found)
    fetch_listings(repo, found, remote)
    lacking = _fetch(repo, set().union(*(output.objects for output in found)), remote)
    for output in found:
        for one in sorted(one.value for one in output.objects & lacking):
            raise UserError(f"{output.path}: object {one} is missing or damaged on the remote; {REPAIR}")


def fetch_listings(repo: Any, found: Iterable[Output], remote: str | None) -> None:
    """Have the listings of all folders among the outputs in the cache.

    Raises:
        UserError: a listing is damaged or missing here and on the remote.
        TransientError: the remote cannot be reached.
    """
    folders = {o.out.hash_info: o.path for o in found if o.out.use_cache and o.out.hash_info.isdir}
    for one in _fetch(repo, folders.keys(), remote):
        what = f"the listing of its folder, {one.value}, is missing or damaged on the remote"
        raise UserError(f"'{folders[one]}': {what}; {REPAIR}")


def _fetch(repo: Any, objects: Collection[Any], remote: str | None) -> set[Any]:
    """Fetch the objects that are not whole in the cache; returns those that cannot be had.

    A damaged object is removed from the cache first, as DVC does it.
    """
    missing = _damaged(repo, objects)
    for one in missing:
        path_of(repo, one).unlink(missing_ok=True)
    return Remote(repo, remote).take(missing) if missing else set()


def _damaged(repo: Any, objects: Collection[Any]) -> set[Any]:
    """The objects that are missing or damaged in the cache; reads every byte of them."""
    found = set()
    for cache in (repo.cache.local, repo.cache.legacy):
        named = {one.value: one for one in objects if cache_of(repo, one) is cache}
        found |= {named[oid] for oid in files.damaged(cache, named)}
    return found
