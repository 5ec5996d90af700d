"""What another host needs to run a stage just as it stands here, and the way back of what it made.

A run goes by its key in DVC's run-cache, which is a hash of all that the stage reads: the host has to find the same
key before it runs anything, and what it made comes home as the record of that key.
"""

import json
import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc.config_schema import RelPath
from dvc.exceptions import CollectCacheError, DvcException
from dvc.repo import Repo
from dvc.stage.serialize import to_single_stage_lockfile

from gliaflow.core.ports import Parcel, Reply
from gliaflow.errors import TransientError, UserError, one_line
from gliaflow.machine.git import git
from gliaflow.machine.retry import retry
from gliaflow.store import files as depot
from gliaflow.store import runs
from gliaflow.store.records import MEND, Record, Remote
from gliaflow.store.repository import dvc_silent
from gliaflow.workspace.plan import is_file

BATCH = 1000  # paths on one command line, which the system limits

STAYS = "{}, so what it makes could not come back from another host; remove `pool` from its meta"


def check(repo: Any, stages: Iterable[Any]) -> None:
    """Look for what keeps stages here, as far as it can be known before anything has run.

    Raises:
        UserError: there is no remote that hosts could use too, or what a stage makes could not come back.
    """
    _check_remote(repo)
    Remote(repo, say=_silent)
    for stage in stages:
        if reason := _stays(stage):
            raise UserError(f"stage '{stage.addressing}': {STAYS.format(reason)}")


def pack(repo: Any, stage: Any, outs: Collection[Any]) -> Parcel:
    """The stage as it stands; its dependencies are hashed already, and `outs` are those of all stages as last recorded.

    Raises:
        UserError: it cannot run elsewhere: its outputs could not come back, or something that it reads cannot go.
    """
    if reason := _stays(stage) or (None if runs.takes(stage) else "the run-cache takes no such stage"):
        raise UserError(STAYS.format(reason))
    _check_remote(repo)
    top, reads = str(repo.scm.root_dir), {dep.fs_path: dep for dep in filter(is_file, stage.deps)}
    needs = {
        out.fs_path: _need(repo, reads.get(out.fs_path, out))
        for out in _touching(reads, outs)
        if out.use_cache or repo.cache.local.exists(out.hash_info.value or "")  # else git has it
    }
    _check_travels(repo, top, {path: dep for path, dep in reads.items() if not _in(path, needs)}, needs)
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
        remote = Remote(repo, say=_silent)
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
        remote = Remote(repo, say=_silent)
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
        return bool(known - set(retry(lambda: remote.fetch_objects(known)).lacking))


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
        remote = Remote(repo, say=_silent)

        def sent() -> Record:
            if remote.push([record]).lacking:
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
        remote = Remote(repo, say=_silent)

        def fetched() -> None:
            if record not in _fetch(remote, [record]):
                raise TransientError(f"run {record.value[:12]} is not on {_where(repo)}: has the host the same one?")
            for names in remote.fetch_objects([record]).lacking.values():
                what = ", ".join(names) or "the listing of a folder"
                raise TransientError(f"missing or damaged on {_where(repo)}: {what}")

        retry(fetched)


def _unread(stage: Any, outs: Iterable[Any], top: str) -> tuple[str, ...]:
    """Paths, from the root of the git repository, of outputs that the stage does not read: they need not travel."""
    outs, root = list(outs), f"{top}{os.sep}"
    read = {out.fs_path for out in _touching((dep.fs_path for dep in filter(is_file, stage.deps)), outs)}
    paths = (out.fs_path for out in outs if out.fs_path not in read and out.fs_path.startswith(root))
    return tuple(path.removeprefix(root) for path in paths)


def unfold(stage: Any, reply: Reply) -> None:
    """Put the outputs that a host made, and that are in the cache by now, in their places."""
    cache = stage.repo.stage_cache
    cache._create_stage(cache._load_cache(reply.key, reply.value), wdir=stage.wdir).checkout()


def _where(repo: Any) -> str:
    """The remote, with its address: another host may have taken another one for it."""
    return f"the remote {depot.url(repo.cloud.get_remote_odb(None, 'push'))}"


def _fetch(remote: Remote, records: Iterable[Record]) -> set[Record]:
    wanted = set(records)
    return wanted - set(remote.fetch(wanted).lacking)


def _bring(repo: Any, remote: Remote, parcel: Parcel) -> Any:
    holder = _holder(repo, parcel)
    try:
        objects = _objects(holder)
    except CollectCacheError:
        folders = [out for out in holder.outs if out.hash_info.isdir and not out.cache.exists(out.hash_info.value)]
        names = ", ".join(f"'{folder}'" for folder in folders)
        raise TransientError(f"{names}: the listing is missing or damaged on {_where(repo)}; {MEND}") from None
    here = set(repo.cache.local.oids_exist([one.value for one in objects]))  # and whole, if they are not protected
    away = {one for one in objects if one.value not in here}
    for one in remote.take(away) if away else ():
        raise TransientError(f"'{objects[one]}': object {one.value} is missing or damaged on {_where(repo)}; {MEND}")
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


def _stays(stage: Any) -> str | None:
    """Why what the stage makes could not come back from another host; None if it could."""
    reasons = [
        (stage.always_changed, "it runs every time (always_changed)"),
        (not stage.deps, "it has no dependency"),
        (not stage.outs, "it has no output"),
    ]
    for dep in stage.deps:
        here = dep.fs and dep.protocol == "local"
        reasons.append((not here, f"its dependency '{dep.def_path}' is no file of this machine"))
    for out in stage.outs:
        kept = out.use_cache or out.is_metric or out.is_plot
        reasons += [
            (out.protocol != "local" or not out.is_in_repo, f"its output '{out}' lies outside of the repository"),
            (out.persist, f"its output '{out}' stays from run to run (persist)"),
            (not kept, f"its output '{out}' is neither cached nor a metric or plot"),
            (not out.can_push, f"its output '{out}' is for no remote (push: false)"),
        ]
    return next((reason for holds, reason in reasons if holds), None)


def _check_remote(repo: Any) -> None:
    name = repo.config["core"].get("remote")
    url = repo.config["remote"].get(name, {}).get("url")
    if isinstance(url, RelPath):
        raise UserError(
            f"the DVC remote '{name}' is a folder given by a relative path, which is another folder on another host: "
            f"dvc remote modify {name} url {url}, if the hosts have that one"
        )


def _check_travels(repo: Any, top: str, reads: Mapping[str, Any], needs: Collection[str]) -> None:
    """Of the dependencies that are no outputs: whether all that DVC counts to them is known to git."""
    for path, dep in reads.items():
        if path != top and not path.startswith(f"{top}{os.sep}"):
            raise UserError(f"'{dep}' lies outside of the git repository, so it cannot travel to another host")
    tracked, others = _listed(top, [os.path.relpath(path, top) for path in reads])
    files, produced = set(tracked), sorted(needs)
    known = {path: path in files or _any_below(path, tracked) for path in reads}
    for path in others:
        if not (_in(path, needs) or repo.dvcignore.is_ignored_file(path)):
            name = os.path.relpath(path, top)
            ignored = not git(top, "check-ignore", "--quiet", "--", name, check=False).returncode
            if not ignored:
                raise UserError(f"'{name}' is new, and only what git knows travels to another host: git add it")
            dep = next(one for one in (path, *_above(path)) if one in reads)
            if known[dep]:
                counts = f"and counts to '{reads[dep]}': list it in .dvcignore"
                raise UserError(f"'{name}' is ignored by git, so it cannot travel to another host, {counts}")
            raise UserError(
                f"'{reads[dep]}' is ignored by git and no output of a stage, so it cannot travel to another host"
            )
    for path, dep in reads.items():
        if not known[path] and not _any_below(path, produced):
            raise UserError(f"git knows of nothing in '{dep}', so it cannot travel to another host")


def _listed(top: str, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """The files at and below these paths: those that git knows, in order, and all others."""
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for start in range(0, len(names), BATCH):
        paths = (f":(literal){name}" for name in names[start : start + BATCH])
        lines = git(top, "ls-files", "-z", "-t", "--cached", "--others", "--", *paths).stdout.split("\0")[:-1]
        for line in lines:
            found[line[0] != "?"].add(f"{top}{os.sep}{line[2:]}")
    return sorted(found[True]), sorted(found[False])


def _touching(paths: Iterable[str], outs: Iterable[Any]) -> list[Any]:
    """The outputs that are one of the paths, lie below one, or have one below them."""
    paths = set(paths)
    exact, below = paths.union(*map(_above, paths)), tuple(f"{path}{os.sep}" for path in paths)
    return [out for out in outs if out.fs_path in exact or out.fs_path.startswith(below)]


def _in(path: str, paths: Collection[str]) -> bool:
    """Whether it is one of the paths, or lies below one."""
    return any(one in paths for one in (path, *_above(path)))


def _any_below(path: str, paths: Sequence[str]) -> bool:
    """Whether any of the paths, which are in order, lies below this one."""
    place = bisect_left(paths, f"{path}{os.sep}")
    return place < len(paths) and paths[place].startswith(f"{path}{os.sep}")


def _above(path: str) -> list[str]:
    return list(map(str, Path(path).parents))


def _silent(_: str) -> None:
    """Say nothing."""
