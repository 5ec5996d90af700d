"""The outputs of a commit: which there are, what each consists of, and writing it to a folder."""

import shutil
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from gliaflow.errors import UserError
from gliaflow.store.objects import inside, path_of

READ_ONLY = 0o444


@dataclass(frozen=True)
class Output:
    """One output of a commit."""

    path: str
    """From the root of the DVC repository."""
    hash: str
    bytes: int
    files: int
    """How many files it has; 1 if it is no folder."""
    out: Any
    """The output as DVC knows it."""

    @cached_property
    def inside(self) -> list[tuple[tuple[str, ...], Any]]:
        """The files that DVC's cache holds of it, each with its path below the output and its object.

        The path of a file that is the output itself is empty. The listing of a folder must be in the cache. Nothing is
        inside of what git holds.
        """
        if not self.out.use_cache:
            return []
        found = self.out.hash_info
        return inside(self.out.repo, found) if found.isdir else [((), found)]

    @cached_property
    def objects(self) -> set[Any]:
        """The objects that it consists of, the listing of a folder included; none if git holds it."""
        return {self.out.hash_info, *(one for _, one in self.inside)} if self.out.use_cache else set()

    def write(self, target: Path, put: Callable[[Path, Path], object] = shutil.copyfile) -> None:
        """Write the output to `target`, which must not be there; its objects must be in the cache.

        `put` gets a file of the cache and the path that it is to have. What git holds is always copied.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        if not self.out.use_cache:
            _copy_from_git(self.out, target)
            return
        if self.out.hash_info.isdir:
            target.mkdir()
        for key, one in self.inside:
            place = target.joinpath(*key)
            place.parent.mkdir(parents=True, exist_ok=True)
            put(path_of(self.out.repo, one), place)

    def link(self, target: Path) -> None:
        """Show the output at `target`, to be read: each file a link to the cache, or a copy of what git holds."""
        self.write(target, _link)
        if not self.out.use_cache:
            for file in [target, *target.rglob("*")]:
                if file.is_file():
                    file.chmod(READ_ONLY)


def outputs(repo: Any, only: Collection[str] | None = None) -> list[Output]:
    """The outputs of the commit that `repo` stands at, by path: all that DVC pushes, or those at the paths of `only`.

    Raises:
        UserError: one of them was never computed.
    """
    return list(_outputs(repo, only))


def outputs_of(repo: Any, commit: str, paths: Collection[str]) -> list[Output]:
    """The outputs of a commit at these paths. Their objects come from the remotes of today, not of that commit."""
    with repo.switch(commit):
        return outputs(repo, paths)


def left_out(repo: Any) -> list[str]:
    """The paths of the outputs that are in no version, since DVC pushes them nowhere."""
    return sorted(_path(repo, out) for out in repo.index.outs if out.is_in_repo and stays(out))


def stays(out: Any) -> bool:
    """Whether DVC pushes an output nowhere: an import from another repository, or one that says `push: false`."""
    return bool(out.stage.is_repo_import or not out.can_push)


def _outputs(repo: Any, only: Collection[str] | None) -> Iterator[Output]:
    by_path = {_path(repo, out): out for out in repo.index.outs if out.is_in_repo}
    for path, out in sorted(by_path.items()):
        if stays(out) if only is None else path not in only:
            continue
        if not out.hash_info:
            raise UserError(f"'{path}' was never computed: run it, and commit dvc.lock")
        size, files = (out.meta.size or 0, out.meta.nfiles or 1) if out.meta else (0, 1)
        yield Output(path, str(out.hash_info.value), size, files, out)


def _path(repo: Any, out: Any) -> str:
    return str(repo.fs.relpath(out.fs_path, repo.root_dir))


def _copy_from_git(out: Any, target: Path) -> None:
    """Copy what git holds of an output, a file or a folder."""
    inside = out.fs.find(out.fs_path) if out.fs.isdir(out.fs_path) else [out.fs_path]
    for path in inside:
        place = target if path == out.fs_path else target.joinpath(*out.fs.relparts(path, out.fs_path))
        place.parent.mkdir(parents=True, exist_ok=True)
        with out.fs.open(path, "rb") as source, place.open("wb") as copy:
            shutil.copyfileobj(source, copy)


def _link(source: Path, target: Path) -> None:
    with suppress(OSError):  # the cache may be another user's, and protected already
        source.chmod(READ_ONLY)
    target.symlink_to(source.absolute())
