"""Whether a stage can run on another host, and what keeps it here."""

import os
from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc.config_schema import RelPath

from gliaflow.errors import UserError
from gliaflow.machine.git import git
from gliaflow.store.remote import Remote

BATCH = 1000  # paths on one command line, which the system limits
STAYS = "{}, so what it makes could not come back from another host; remove `pool` from its meta"


def check(repo: Any, stages: Iterable[Any]) -> None:
    """Look for what keeps stages here, as far as it can be known before anything has run.

    Raises:
        UserError: there is no remote that hosts could use too, or what a stage makes could not come back.
    """
    check_remote(repo)
    Remote(repo, say=lambda _: None)
    for stage in stages:
        if reason := why_it_stays(stage):
            raise UserError(f"stage '{stage.addressing}': {STAYS.format(reason)}")


def why_it_stays(stage: Any) -> str | None:
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


def check_remote(repo: Any) -> None:
    """Refuse a default remote that is another one on another host.

    Raises:
        UserError: its address is a relative path.
    """
    name = repo.config["core"].get("remote")
    url = repo.config["remote"].get(name, {}).get("url")
    if isinstance(url, RelPath):
        raise UserError(
            f"the DVC remote '{name}' is a folder given by a relative path, which is another folder on another host: "
            f"dvc remote modify {name} url {url}, if the hosts have that one"
        )


def check_reads(repo: Any, top: str, reads: Mapping[str, Any], needs: Collection[str]) -> None:
    """Of the dependencies that are no outputs: whether all that DVC counts to them is known to git."""
    for path, dep in reads.items():
        if path != top and not path.startswith(f"{top}{os.sep}"):
            raise UserError(f"'{dep}' lies outside of the git repository, so it cannot travel to another host")
    tracked, others = _listed(top, [os.path.relpath(path, top) for path in reads])
    files, produced = set(tracked), sorted(needs)
    known = {path: path in files or _any_below(path, tracked) for path in reads}
    for path in others:
        if not (lies_in(path, needs) or repo.dvcignore.is_ignored_file(path)):
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


def touching(paths: Iterable[str], outs: Iterable[Any]) -> list[Any]:
    """The outputs that are one of the paths, lie below one, or have one below them."""
    paths = set(paths)
    exact, below = paths.union(*map(_above, paths)), tuple(f"{path}{os.sep}" for path in paths)
    return [out for out in outs if out.fs_path in exact or out.fs_path.startswith(below)]


def lies_in(path: str, paths: Collection[str]) -> bool:
    """Whether it is one of the paths, or lies below one."""
    return any(one in paths for one in (path, *_above(path)))


def _any_below(path: str, paths: Sequence[str]) -> bool:
    """Whether any of the paths, which are in order, lies below this one."""
    place = bisect_left(paths, f"{path}{os.sep}")
    return place < len(paths) and paths[place].startswith(f"{path}{os.sep}")


def _above(path: str) -> list[str]:
    return list(map(str, Path(path).parents))
