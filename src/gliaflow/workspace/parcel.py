"""What another host needs to run a stage just as it stands here, and the way back of what it made.

A run goes by its key in DVC's run-cache, which is a hash of all that the stage reads: the host has to find the same
key before it runs anything, and what it made comes home as the record of that key.
"""

import json
import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from dvc.exceptions import CollectCacheError, DvcException
from dvc.repo import Repo
from dvc.stage.serialize import to_single_stage_lockfile

from gliaflow.core.ports import Parcel, Reply
from gliaflow.errors import TransientError, UserError, one_line
from gliaflow.machine.retry import retry
from gliaflow.store import files, runs
from gliaflow.store.records import Record
from gliaflow.store.remote import Remote
from gliaflow.store.repository import REPAIR, dvc_silent, silent
from gliaflow.workspace.plan import is_file
from gliaflow.workspace.travel import STAYS, check_reads, check_remote, lies_in, touching, why_it_stays


def pack(repo: Any, stage: Any, outs: Collection[Any]) -> Parcel:
    """The stage as it stands; its dependencies are hashed already, and `outs` are those of all stages as last recorded.

    Raises:
        UserError: it cannot run on another host: its outputs could not come back, or something that it reads cannot go.
    """
    if reason := why_it_stays(stage) or (None if runs.takes(stage) else "the run-cache takes no such stage"):
        raise UserError(STAYS.format(reason))
    check_remote(repo)
    top, reads = str(repo.scm.root_dir), {dep.fs_path: dep for dep in filter(is_file, stage.deps)}
    needs = {
        out.fs_path: _need(repo, reads.get(out.fs_path, out))
        for out in touching(reads, outs)
        if out.use_cache or repo.cache.local.exists(out.hash_info.value or "")  # else git has it
    }
    check_reads(repo, top, {path: dep for path, dep in reads.items() if not lies_in(path, needs)}, needs)
    return Parcel(
        address=stage.addressing,
        folder=os.path.relpath(Path.cwd(), top),
        dvc_root=os.path.relpath(repo.root_dir, top),
        key=runs.names(stage)[0],
        reads=_reads(stage),
        needs=[needs[path] for path in sorted(needs)],
        unread=_unread(stage, outs, top),
    )


def send(parcel: Parcel) -> None:
    """Have the remote of the workspace in the working directory hold all outputs that the stage reads.

    Raises:
        UserError: there is no remote, or one of them is not in the cache.
        TransientError: the remote did not take them.
    """
    with dvc_silent(), Repo() as repo:
        remote = Remote(repo, say=silent)
        try:
            objects = _objects(_holder(repo, parcel)) if parcel.needs else {}
        except CollectCacheError as error:
            raise UserError(one_line(error)) from None
        for path in retry(lambda: remote.give(objects)):
            raise UserError(f"'{path}' is read by the stage and is not in the cache: run the stage that makes it")


def unpack(parcel: Parcel, run_cache: bool) -> bool:
    """In the working directory: restore what the stage reads, and fetch what is known of such a run, if anything is.

    Raises:
        UserError: something is not on the remote, or the stage would not read here what it reads there; it is named.
        TransientError: the remote did not answer well.
    """
    with dvc_silent(), Repo() as repo:
        remote = Remote(repo, say=silent)
        if parcel.needs:
            holder = retry(lambda: _bring(repo, remote, parcel))
            with repo.lock:
                holder.checkout(force=True)
        with repo.lock:
            stage = _stage(repo, parcel.address)
            stage.save_deps()
            if (runs.names(stage)[0], _reads(stage)) != (parcel.key, parcel.reads):
                raise UserError(f"{_difference(parcel.reads, _reads(stage))} is not here what it is there")
        if not run_cache:
            return False
        found = retry(lambda: _fetch(remote, remote.records(parcel.key)))
        known = {record for record in found if runs.fits(stage, repo.stage_cache._load_cache(*record))}
        return bool(known - set(retry(lambda: remote.fetch_objects(known)).incomplete))


def push(parcel: Parcel) -> Record:
    """The record of the run that was just made in the working directory, once it is on the remote with its objects.

    Raises:
        UserError: the run was not recorded.
        TransientError: the remote did not take it.
    """
    with dvc_silent(), Repo() as repo:
        record = Record(*runs.names(_stage(repo, parcel.address)))
        if record.key != parcel.key:
            raise UserError("a dependency changed while the stage ran")
        remote = Remote(repo, say=silent)

        def sent() -> Record:
            if remote.push([record]).incomplete:
                raise TransientError("the remote did not take all objects of the run")
            return record

        return retry(sent)


def fetch(record: Record) -> None:
    """Have the cache of the workspace in the working directory hold the record and all its objects.

    Raises:
        UserError: they are not on this remote, or damaged; named.
        TransientError: the remote did not answer well.
    """
    with dvc_silent(), Repo() as repo:
        remote = Remote(repo, say=silent)

        def fetched() -> None:
            if record not in _fetch(remote, [record]):
                raise TransientError(f"run {record.value[:12]} is not on {_where(repo)}: has the host the same one?")
            for names in remote.fetch_objects([record]).incomplete.values():
                what = ", ".join(names) or "the listing of a folder"
                raise TransientError(f"missing or damaged on {_where(repo)}: {what}")

        retry(fetched)


def _unread(stage: Any, outs: Iterable[Any], top: str) -> tuple[str, ...]:
    """Paths, from the root of the git repository, of outputs that the stage does not read: they need not travel."""
    outs, root = list(outs), f"{top}{os.sep}"
    read = {out.fs_path for out in touching((dep.fs_path for dep in filter(is_file, stage.deps)), outs)}
    paths = (out.fs_path for out in outs if out.fs_path not in read and out.fs_path.startswith(root))
    return tuple(path.removeprefix(root) for path in paths)


def unfold(stage: Any, reply: Reply) -> None:
    """Put the outputs that a host made, and that are in the cache by now, in their places."""
    cache = stage.repo.stage_cache
    cache._create_stage(cache._load_cache(reply.key, reply.value), wdir=stage.wdir).checkout()


def _where(repo: Any) -> str:
    """The remote, with its address: another host may have taken another one for it."""
    return f"the remote {files.url(repo.cloud.get_remote_odb(None, 'push'))}"


def _fetch(remote: Remote, records: Iterable[Record]) -> set[Record]:
    wanted = set(records)
    return wanted - set(remote.fetch(wanted).incomplete)


def _bring(repo: Any, remote: Remote, parcel: Parcel) -> Any:
    holder = _holder(repo, parcel)
    try:
        objects = _objects(holder)
    except CollectCacheError:
        folders = [out for out in holder.outs if out.hash_info.isdir and not out.cache.exists(out.hash_info.value)]
        names = ", ".join(f"'{folder}'" for folder in folders)
        raise TransientError(f"{names}: the listing is missing or damaged on {_where(repo)}; {REPAIR}") from None
    here = set(repo.cache.local.oids_exist([one.value for one in objects]))  # and whole, if they are not protected
    away = {one for one in objects if one.value not in here}
    for one in remote.take(away) if away else ():
        raise TransientError(f"'{objects[one]}': object {one.value} is missing or damaged on {_where(repo)}; {REPAIR}")
    return holder


def _holder(repo: Any, parcel: Parcel) -> Any:
    """A stage of DVC's whose outputs are what the parcel's stage reads."""
    return repo.stage_cache._create_stage({"cmd": "true", "outs": parcel.needs}, wdir=repo.root_dir)


def _objects(holder: Any) -> dict[Any, str]:
    """The objects of its outputs, each with the path that it is of."""
    holder.repo.cache.local.oids_exist([out.hash_info.value for out in holder.outs])  # drops damaged listings
    return {one: str(out) for out in holder.outs for objects in out.get_used_objs().values() for one in objects}


def _need(repo: Any, out: Any) -> dict[str, Any]:
    if not out.hash_info:
        raise UserError(f"'{out}' was never recorded: run the stage that makes it")
    meta = {name: value for name, value in out.meta.to_dict().items() if name != "isdir"}
    path = Path(os.path.relpath(out.fs_path, repo.root_dir)).as_posix()
    return {"path": path, "hash": "md5", **out.hash_info.to_dict(), **meta}


def _stage(repo: Any, address: str) -> Any:
    try:
        return next(iter(repo.stage.collect(address)))
    except DvcException as error:
        raise UserError(one_line(error)) from error


def _reads(stage: Any) -> dict[str, str]:
    entry = to_single_stage_lockfile(stage)
    deps = {dep["path"]: str(dep.get("md5")) for dep in entry.get("deps", [])}
    values = {
        f"{name} of {path}": json.dumps(value, default=str)
        for path, names in entry.get("params", {}).items()
        for name, value in names.items()
    }
    return {"cmd": json.dumps(entry["cmd"]), **deps, **values}


def _difference(there: dict[str, str], here: dict[str, str]) -> str:
    names = [name for name in sorted(there.keys() | here.keys()) if there.get(name) != here.get(name)]
    return ", ".join(map(repr, names)) or "the list of outputs"
