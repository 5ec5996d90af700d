"""Files of a remote, whatever keeps it: send them so that each appears whole, list them, hash them.

A store is an object database of DVC (`odb`), in this machine's cache or on a remote; `oid` is the hash that names an
object in it. An error that a library raises about a remote becomes one line here.
"""

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

ATOMIC = (LocalFileSystem, ObjectFileSystem)  # where DVC's put shows a file only once it is complete
OWN_DISK = (errno.ENOSPC, errno.EDQUOT)  # a disk of this machine is full
PASSING = (errno.EBUSY, errno.EIO, errno.EAGAIN)  # what s3fs raises for 500, 503 and "slow down"


@contextmanager
def reached(odb: Any) -> Iterator[None]:
    """Turn what libraries raise about a remote inside the block into one line that names the remote.

    Raises:
        TransientError: the remote cannot be reached.
        UserError: the remote refuses.
    """
    try:
        yield
    except (GliaflowError, DvcException):
        raise
    except Exception as error:
        names = " ".join(cls.__name__ for cls in type(error).__mro__)  # each library has an exception of its own
        known = isinstance(error, OSError) or type(error).__module__ != "builtins"  # else it is a bug
        if not known or getattr(error, "errno", None) in OWN_DISK:
            raise
        passing = "Connection" in names or "Timeout" in names or getattr(error, "errno", None) in PASSING
        kind = TransientError if passing else UserError
        raise kind(f"remote {url(odb)}: {reason(error)}") from error


def url(odb: Any) -> str:
    """The address of a store."""
    return str(odb.fs.unstrip_protocol(odb.path))


def reason(error: BaseException) -> str:
    """The message of an error on one line; the name of its class if it has none."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror:  # without its number
        text = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(text) or type(error).__name__


def each(odb: Any, jobs: int | None, action: Callable[[Any], Any], items: Iterable[Any]) -> list[Any]:
    """Call `action` on each item, `jobs` at once (by default as many as the store takes); returns the results."""
    _ = odb.fs.fs  # connects here, since each thread would connect for itself
    with ThreadPoolExecutor(jobs or odb.fs.jobs) as pool:
        return list(pool.map(action, items))


def sizes(odb: Any, oids: Iterable[str], jobs: int | None) -> dict[str, int]:
    """The sizes in bytes of all objects that lie in the same folders as `oids`, by hash.

    The store is asked once for each folder, not once for each object.
    """
    folders = {odb.fs.parent(odb.oid_to_path(oid)) for oid in oids}
    entries = (entry for found in each(odb, jobs, partial(_listed, odb.fs), folders) for entry in found)
    return {"".join(odb.fs.parts(entry["name"])[-2:]): entry["size"] for entry in entries}


def damaged(odb: Any, oids: Iterable[str], jobs: int | None = None) -> set[str]:
    """Those of `oids` that are missing in the store or do not hash to their names; reads every byte of them."""
    oids = list(oids)
    fine = each(odb, jobs, partial(_is_whole, odb), oids)
    return {oid for oid, is_whole in zip(oids, fine, strict=True) if not is_whole}


def send(odb: Any, paths: Mapping[str, str], jobs: int | None, say: Callable[[str], None]) -> set[str]:
    """Copy files, given as path here → path in the store; returns the paths here of those that were copied.

    Nobody sees half a file. Where DVC's put does not ensure that, as over SSH, a file has another name until it is
    complete.

    Raises:
        TransientError: the remote cannot be reached, and so took no file.
        UserError: the remote refuses all files.
    """
    if not paths:
        return set()
    failed = dict[str, BaseException]()
    with reached(odb):
        coming = {here: _coming(odb.fs, there) for here, there in paths.items()}
        _copy(odb.fs, coming, jobs, failed)
        copied = [here for here in paths if here not in failed]
        each(odb, jobs, lambda here: _show(odb, here, coming[here], paths[here], failed), copied)
        if len(failed) == len(paths):
            raise next(iter(failed.values()))
    if failed:
        say(f"{len(failed)} could not be sent ({reason(next(iter(failed.values())))}); push again for the rest")
    return paths.keys() - failed.keys()


def _coming(fs: Any, there: str) -> str:
    """The name that a file has on the remote until it is complete."""
    return there if isinstance(fs, ATOMIC) else str(fs.join(fs.parent(there), tmp_fname()))


def _copy(fs: Any, coming: Mapping[str, str], jobs: int | None, failed: dict[str, BaseException]) -> None:
    def note(here: str, _: str, error: BaseException) -> None:
        failed[here] = error

    generic.copy(localfs, list(coming), fs, list(coming.values()), batch_size=jobs or fs.jobs, on_error=note)


def _show(odb: Any, here: str, coming: str, there: str, failed: dict[str, BaseException]) -> None:
    """Give a file that was copied its name, and protect it."""
    try:
        if coming != there:
            odb.fs.move(coming, there)
        odb.protect(there)
    except Exception as error:
        failed[here] = error


def _listed(fs: Any, folder: str) -> list[dict[str, Any]]:
    """The files of a folder, as they are now."""
    if isinstance(fs, ObjectFileSystem):  # `ls` would ask again for a folder that is not there
        return list(fs.fs.find(fs.parent(folder), prefix=f"{fs.name(folder)}/", detail=True).values())
    try:
        return list(fs.ls(folder, detail=True))
    except FileNotFoundError:
        return []


def _is_whole(odb: Any, oid: str) -> bool:
    try:
        return bool(file_md5(odb.oid_to_path(oid), odb.fs, name=odb.hash_name) == oid.partition(".")[0])
    except FileNotFoundError:
        return False
