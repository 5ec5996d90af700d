"""What all experiments of a sweep or a search have in common: what is asked of them, and what they begin at."""

import hashlib
import os
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dvc.stage.serialize import to_single_stage_file
from dvc.utils.serialize import dumps_yaml

from gliaflow.core.options import Options
from gliaflow.errors import UserError
from gliaflow.hosts.snapshot import snapshot

FOLDER = "gliaflow/experiments"  # in DVC's folder for temporary files


@dataclass(frozen=True)
class Wanted:
    """What a caller asks of all experiments of a sweep."""

    targets: tuple[str, ...] = ()
    options: Options = field(default_factory=Options)
    jobs: int | None = None
    executors: tuple[str, ...] = ()
    prefect: bool = True
    """All these as `gliaflow.reproduce` takes them."""
    name: str | None = None
    """What the names of the experiments begin with; made up if it is None."""
    copy_paths: tuple[str, ...] = ()
    """What git does not track and experiments need."""
    message: str | None = None
    """Of the commits; DVC's own if it is None."""


@dataclass(frozen=True)
class Setting:
    """What all experiments of a sweep have in common; plain data, which travels to the runners."""

    wanted: Wanted
    top: str
    """The root of the git repository."""
    dvc_dir: str
    """Where `.dvc` lies, from there."""
    wdir: str
    """The working directory, from there."""
    folder: str
    """Where workspaces of experiments lie, and what is known of them."""
    cache: str
    """DVC's cache of this machine."""
    baseline: str
    """The commit that the experiments begin at."""
    tree: str
    """What git would commit of the workspace, as a commit."""
    data: Mapping[str, str]
    """The text of .dvc files whose data has changed in the workspace, by their paths from the root."""
    copies: tuple[str, ...]
    """What git does not track and experiments need, from the root."""
    copied: str
    """A hash of the content of these."""
    journals: str
    """Where the runs are kept."""

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Setting":
        """What `asdict` gave, read again."""
        wanted: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in plain["wanted"].items()}
        wanted["options"] = Options(**wanted["options"])
        return cls(**{**plain, "wanted": Wanted(**wanted), "copies": tuple(plain["copies"])})


def folder(repo: Any) -> Path:
    """Where workspaces of experiments lie, and what is known of them."""
    return Path(repo.tmp_dir, FOLDER)


def look(repo: Any, wanted: Wanted, files: Collection[str] = ()) -> Setting:
    """Look at a repository, from the working directory; `files` of parameters come along if git does not track them.

    Data that has changed since it was added goes into the cache.

    Raises:
        UserError: nothing is committed, git is not used, or there is nothing at a path of `wanted.copy_paths`.
    """
    _check_git(repo)
    top, wdir = Path(repo.scm.root_dir).resolve(), Path.cwd().resolve()
    for name in wanted.copy_paths:
        path = (wdir / name).resolve()
        if not path.exists():
            raise UserError(f"--copy-paths {name}: there is no such file or folder")
        if top not in path.parents or path in folder(repo).resolve().parents:
            raise UserError(f"--copy-paths {name}: name a file or folder in the repository, and not all of it")
    untracked = {str(Path(one)) for one in repo.scm.untracked_files()}
    loose = {os.path.relpath(wdir / file, top) for file in files} & untracked
    copies = tuple(sorted({os.path.relpath(wdir / path, top) for path in wanted.copy_paths} | loose))
    return Setting(
        wanted=wanted,
        top=str(top),
        dvc_dir=os.path.relpath(repo.dvc_dir, top),
        wdir=os.path.relpath(wdir, top),
        folder=str(folder(repo)),
        cache=str(repo.cache.local_cache_dir),
        baseline=str(repo.scm.get_rev()),
        tree=snapshot(top),
        data=_changed_data(repo, top),
        copies=copies,
        copied=_hash(top, copies),
        journals=str(Path(repo.tmp_dir, "gliaflow/runs")),
    )


def _check_git(repo: Any) -> None:
    if repo.config["core"].get("no_scm", False):
        raise UserError("experiments are commits of git, which this repository does not use")
    if repo.scm.no_commits:
        raise UserError("experiments begin at a commit, and nothing is committed yet: git commit first")


def _changed_data(repo: Any, top: Path) -> dict[str, str]:
    """The text that .dvc files would have whose data has changed since; the data goes into the cache."""
    found = {}
    with repo.lock:
        for stage in repo.index.stages:
            known = stage.is_data_source and repo.scm.is_tracked(stage.path)
            if known and any(out.exists and out.changed_checksum() for out in stage.outs):
                stage.save(allow_missing=True)
                stage.commit(allow_missing=True, relink=False)
                found[os.path.relpath(stage.path, top)] = dumps_yaml(to_single_stage_file(stage))
    return found


def _hash(top: Path, names: Iterable[str]) -> str:
    """A hash of files and folders: of their names, and of what is in them."""
    found = hashlib.sha256()
    for name in names:
        paths = sorted((top / name).rglob("*")) if (top / name).is_dir() else [top / name]
        for path in (one for one in paths if one.is_file()):
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            found.update(f"{path.relative_to(top)}\0{digest}\0".encode())
    return found.hexdigest() if names else ""
