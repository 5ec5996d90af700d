"""Files of a remote, whatever keeps it: sent so that each appears whole, listed, hashed; an error is one line."""

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

from dvc.exceptions import DvcException
from dvc_data.hashfile.hash import file_md5
from dvc_objects.fs import generic
from dvc_objects.fs.base import ObjectFileSystem
from dvc_objects.fs.local import LocalFileSystem, localfs
from dvc_objects.fs.utils import tmp_fname

from gliaflow.errors import GliaflowError, TransientError, UserError, one_line

WHOLE = (LocalFileSystem, ObjectFileSystem)  # where DVC's put shows a file once it is complete
OURS = (errno.ENOSPC, errno.EDQUOT)  # a disk of this machine
PASSING = (errno.EBUSY, errno.EIO, errno.EAGAIN)  # what s3fs makes of 500, 503 and "slow down"


@contextmanager
def reached(odb: Any) -> Iterator[None]:
    """Have what the libraries beneath say of a remote be one line, with the remote in it.

    Raises:
        TransientError: it cannot be reached.
        UserError: it refuses.
    """
    try:
        yield
    except (GliaflowError, DvcException):
        raise
    except Exception as error:
        names = " ".join(cls.__name__ for cls in type(error).__mro__)  # each library has an exception of its own
        known = isinstance(error, OSError) or type(error).__module__ != "builtins"  # else it is a bug
        if not known or getattr(error, "errno", None) in OURS:
            raise
        passing = "Connection" in names or "Timeout" in names or getattr(error, "errno", None) in PASSING
        kind = TransientError if passing else UserError
        raise kind(f"remote {url(odb)}: {said(error)}") from error


def url(odb: Any) -> str:
    """Where it is."""
    return str(odb.fs.unstrip_protocol(odb.path))


def said(error: BaseException) -> str:
    """What an error says, on one line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:  # without its number
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(text) or type(error).__name__


def each(odb: Any, jobs: int | None, action: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """What `action` returns of each item, several at once."""
    _ = odb.fs.fs  # connects, lest each thread does
    with ThreadPoolExecutor(jobs or odb.fs.jobs) as pool:
        return list(pool.map(action, items))


def sizes(odb: Any, oids: Iterable[str], jobs: int | None) -> dict[str, int]:
    """The objects that lie in the folders of these, with their sizes: a listing a folder, and no request an object."""
    folders = {odb.fs.parent(odb.oid_to_path(oid)) for oid in oids}
    entries = (entry for found in each(odb, jobs, partial(_listed, odb.fs), folders) for entry in found)
    return {"".join(odb.fs.parts(entry["name"])[-2:]): entry["size"] for entry in entries}


def _listed(fs: Any, folder: str) -> list[dict[str, Any]]:
    """The files of a folder, as they are now."""
    if isinstance(fs, ObjectFileSystem):  # `ls` would ask again for one that is not there
        return list(fs.fs.find(fs.parent(folder), prefix=f"{fs.name(folder)}/", detail=True).values())
    try:
        return list(fs.ls(folder, detail=True))
    except FileNotFoundError:
        return []


def whole(odb: Any, oid: str) -> bool:
    """Whether an object is there and hashes to its name; reads all of it."""
    try:
        return bool(file_md5(odb.oid_to_path(oid), odb.fs, name=odb.hash_name) == oid.partition(".")[0])
    except FileNotFoundError:
        return False


def send(odb: Any, paths: Mapping[str, str], jobs: int | None) -> dict[str, BaseException]:
    """Copy files, given as path here → path there; those that were not, and why.

    Nobody sees half a file: where DVC's put does not see to that, as over SSH, it has another name until it is whole.
    """
    fs, failed = odb.fs, dict[str, BaseException]()

    def coming(there: str) -> str:
        return there if isinstance(fs, WHOLE) else fs.join(fs.parent(there), tmp_fname())

    def finish(here: str) -> None:
        try:
            if names[here] != paths[here]:
                fs.move(names[here], paths[here])
            odb.protect(paths[here])
        except Exception as error:
            failed[here] = error

    def note(here: str, _: str, error: BaseException) -> None:
        failed[here] = error

    names = {here: coming(there) for here, there in paths.items()}
    if names:
        generic.copy(localfs, list(names), fs, list(names.values()), batch_size=jobs or fs.jobs, on_error=note)
    each(odb, jobs, finish, [here for here in names if here not in failed])
    return failed


def tell_damaged(cache: Any, tell: Callable[[str], None]) -> None:
    """Have each object be told that a remote gave and that does not hash to its name: DVC drops it without a word."""
    add = cache.add

    def told(path: Any, fs: Any, oid: Any, *args: Any, on_error: Any = None, **options: Any) -> Any:
        failed = set()

        def note(one: str, error: BaseException) -> None:
            failed.add(one)
            on_error(one, error)

        count = add(path, fs, oid, *args, on_error=on_error and note, **options)
        oids = [oid] if isinstance(oid, str) else oid
        for one in oids if options.get("verify") else []:
            if one not in failed and not cache.exists(one):
                tell(one)
        return count

    cache.add = told
