"""What another host needs to run a stage just as it stands here, and the way back of what it made.

A run goes by its key in DVC's run-cache, which is a hash of all that the stage reads: the host has to find the same
key before it runs anything, and what it made comes home as the record of that key.
"""

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from dvc.exceptions import CollectCacheError, DvcException
from dvc.repo import Repo
from dvc.stage.cache import _get_cache_hash
from dvc.stage.serialize import to_single_stage_lockfile

from flows import runcache
from flows.insist import insist
from flows.plan import is_file
from flows.remote import Record, Remote
from flows.run_git import git
from flows.screen import dvc_silent
from stages.errors import TransientError, UserError


@dataclass(frozen=True)
class Parcel:
    """A stage to be run elsewhere; plain data, for a flow's parameters."""

    address: str  # seen from `folder`
    folder: str  # the working directory, from the root of the git repository
    dvc_root: str  # where .dvc lies, from there as well
    key: str  # of the run
    reads: dict[str, str]  # hash or value of each dependency and parameter, by name
    needs: list[dict[str, Any]]  # outputs of other stages that it reads, as in dvc.lock, their paths from `dvc_root`

    def plain(self) -> dict[str, Any]:
        """As the parameters of a flow."""
        return asdict(self)


def pack(repo: Any, stage: Any, outs: Iterable[Any]) -> Parcel:
    """The stage as it stands; its dependencies are hashed already, and `outs` are those of all stages as last recorded.

    Raises:
        UserError: it cannot run elsewhere: its outputs could not come back, or something that it reads cannot go.
    """
    if not (runcache.takes(stage) and all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs)):
        raise UserError(
            "what it makes could not come back from another host: the run-cache takes no stage that always changes, "
            "has no dependency or output, keeps an output (persist), has one that is not cached and no metric or "
            "plot, or reaches out of the repository; remove `pool` from its meta"
        )
    top, needs = Path(repo.scm.root_dir), {}
    for dep in filter(is_file, stage.deps):
        here = Path(dep.fs_path)
        found = [out for out in outs if _touch(here, Path(out.fs_path))]
        for out in found:
            if out.use_cache or repo.cache.local.exists(out.hash_info.value or ""):  # else git has it
                needs[out.fs_path] = _need(repo, dep if out.fs_path == dep.fs_path else out)
        for name in _unknown(top, here):
            ignored = repo.dvcignore.is_ignored_file(str(top / name))
            if not ignored and not any(_touch(top / name, Path(path)) for path in needs):
                raise UserError(f"'{name}' is new, and only what git knows travels to another host: git add it")
        if not found and not git(top, "ls-files", "--", str(here)).stdout:
            raise UserError(f"'{dep}' is ignored by git and no output of a stage, so it cannot travel to another host")
    return Parcel(
        address=stage.addressing,
        folder=os.path.relpath(Path.cwd(), top),
        dvc_root=os.path.relpath(repo.root_dir, top),
        key=_key(stage),
        reads=_reads(stage),
        needs=[needs[path] for path in sorted(needs)],
    )


def unread(stage: Any, outs: Iterable[Any], top: Path) -> list[str]:
    """Paths, from the root of the git repository, of outputs that the stage does not read: they need not travel."""
    read = [Path(dep.fs_path) for dep in filter(is_file, stage.deps)]
    found = (Path(out.fs_path) for out in outs if not any(_touch(one, Path(out.fs_path)) for one in read))
    return [os.path.relpath(path, top) for path in found if path.is_relative_to(top)]


def send(parcel: Parcel) -> None:
    """Have the remote of the workspace in the working directory hold all outputs that the stage reads.

    Raises:
        UserError: there is no remote, or one of them is not in the cache.
        TransientError: the remote did not take them.
    """
    with dvc_silent(), Repo() as repo:
        remote = Remote(repo, say=_silent)
        try:
            objects = _objects(_holder(repo, parcel)) if parcel.needs else {}
        except CollectCacheError as error:
            raise UserError(" ".join(str(error).split())) from None
        for path in insist(lambda: remote.give(objects)):
            raise UserError(f"'{path}' is read by the stage and is not in the cache: run the stage that makes it")


def unpack(parcel: Parcel, run_cache: bool) -> bool:
    """In the working directory: restore what the stage reads, and fetch what is known of such a run, if anything is.

    Raises:
        UserError: something is not on the remote, or the stage would not read here what it reads there; it is named.
        TransientError: the remote did not answer well.
    """
    with dvc_silent(), Repo() as repo:
        remote = Remote(repo, say=_silent)
        if parcel.needs:
            holder = insist(lambda: _bring(repo, remote, parcel))
            with repo.lock:
                holder.checkout(force=True)
        with repo.lock:
            stage = _stage(repo, parcel.address)
            stage.save_deps()
            if (_key(stage), _reads(stage)) != (parcel.key, parcel.reads):
                raise UserError(f"{_difference(parcel.reads, _reads(stage))} is not here what it is there")
        if not run_cache:
            return False
        found = insist(lambda: _fetch(remote, remote.records(parcel.key)))
        known = {record for record in found if runcache.fits(stage, repo.stage_cache._load_cache(*record))}
        return bool(known - set(insist(lambda: remote.fetch_objects(known)).lacking))


def push(parcel: Parcel) -> Record:
    """The record of the run that was just made in the working directory, once it is on the remote with its objects.

    Raises:
        UserError: the run was not recorded.
        TransientError: the remote did not take it.
    """
    with dvc_silent(), Repo() as repo:
        entry = to_single_stage_lockfile(_stage(repo, parcel.address))
        record = Record(_get_cache_hash(dict(entry), key=True), _get_cache_hash(entry))
        if record.key != parcel.key:
            raise UserError("a dependency changed while the stage ran")
        remote = Remote(repo, say=_silent)

        def sent() -> Record:
            if remote.push([record]).lacking:
                raise TransientError("the remote did not take all objects of the run")
            return record

        return insist(sent)


def fetch(record: Record) -> None:
    """Have the cache of the workspace in the working directory hold the record and all its objects.

    Raises:
        UserError: they are not on this remote, or damaged; named.
        TransientError: the remote did not answer well.
    """
    with dvc_silent(), Repo() as repo:
        remote = Remote(repo, say=_silent)

        def fetched() -> None:
            if record not in _fetch(remote, [record]):
                raise TransientError(f"run {record.value[:12]} is not on this remote: has the host the same one?")
            for names in remote.fetch_objects([record]).lacking.values():
                raise TransientError(f"missing or damaged on the remote: {', '.join(names) or 'listing of a folder'}")

        insist(fetched)


def unfold(stage: Any, record: Record) -> None:
    """Put the outputs of a record that is in the cache in their places."""
    cache = stage.repo.stage_cache
    cache._create_stage(cache._load_cache(*record), wdir=stage.wdir).checkout()


def _fetch(remote: Remote, records: Iterable[Record]) -> set[Record]:
    wanted = set(records)
    return wanted - set(remote.fetch(wanted).lacking)


def _bring(repo: Any, remote: Remote, parcel: Parcel) -> Any:
    holder = _holder(repo, parcel)
    try:
        objects = _objects(holder)
    except CollectCacheError as error:
        raise TransientError(f"the listing of a folder is not on the remote: {error}") from None
    away = {one for one in objects if not repo.cache.local.exists(one.value)}
    for one in remote.take(away) if away else ():
        raise TransientError(f"'{objects[one]}': object {one.value} is missing or damaged on the remote")
    return holder


def _holder(repo: Any, parcel: Parcel) -> Any:
    """A stage of DVC's whose outputs are what the parcel's stage reads."""
    return repo.stage_cache._create_stage({"cmd": "true", "outs": parcel.needs}, wdir=repo.root_dir)


def _objects(holder: Any) -> dict[Any, str]:
    """The objects of its outputs, each with the path that it is of."""
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
        raise UserError(" ".join(str(error).split())) from error


def _key(stage: Any) -> str:
    return str(_get_cache_hash(to_single_stage_lockfile(stage), key=True))


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


def _unknown(top: Path, path: Path) -> list[str]:
    return git(top, "ls-files", "--others", "--exclude-standard", "-z", "--", str(path)).stdout.split("\0")[:-1]


def _touch(one: Path, other: Path) -> bool:
    return one == other or one in other.parents or other in one.parents


def _silent(_: str) -> None:
    """Say nothing."""
