"""What a stage declares in its dvc.yaml, and which files of a repository are anybody's input or output at all."""

import os
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from dvc.ignore import DvcIgnoreFilter

FOLDERS = frozenset({".dvc", ".git", ".hg", "__pycache__", "node_modules", "site-packages", "dist-packages"})
ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")  # by which one knows the folder of an environment
ABOUT = frozenset({"dvc.yaml", "dvc.lock", ".dvcignore", ".gitignore", ".gitattributes", ".gitmodules"})
METADATA = (".egg-info", ".dist-info")  # of packages that are installed as they lie here
OF_DVC = ".dvc"


@dataclass(frozen=True)
class Declared:
    """What one stage declares, as absolute paths; a folder stands for all that is in it."""

    address: str
    folder: Path
    """Its working directory."""
    reads: frozenset[str]
    """Dependencies and files of parameters."""
    writes: frozenset[str]
    """Outputs, metrics and plots."""

    @classmethod
    def of(cls, stage: Any) -> "Declared":
        """What a stage of DVC declares."""
        reads = {str(dep.fs_path) for dep in stage.deps if dep.protocol == "local" and dep.fs_path}
        writes = {str(out.fs_path) for out in stage.outs if out.protocol == "local"}
        return cls(stage.addressing, Path(stage.wdir), frozenset(reads), frozenset(writes))

    def covers(self, path: Path) -> bool:
        """Whether the stage declares that it reads the path; its own outputs it may read."""
        return _covered(path, self.reads) or _covered(path, self.writes)

    def makes(self, path: Path) -> bool:
        """Whether the path is an output, lies in one, or is a folder with one."""
        return _covered(path, self.writes) or any(Path(out).is_relative_to(path) for out in self.writes)


def _covered(path: Path, declared: frozenset[str]) -> bool:
    return str(path) in declared or any(str(parent) in declared for parent in path.parents)


class Files:
    """The files of a repository that count: what DVC, git and Python keep for themselves is nobody's."""

    def __init__(self, repo: Any) -> None:
        self.top = Path(repo.root_dir if repo.config["core"].get("no_scm", False) else repo.scm.root_dir)
        self._here = Path.cwd()
        given = Path(os.environ.get("PWD") or self._here)  # the same by a link, as a stage may name it
        self._link = given if given != self._here and given.is_dir() and given.samefile(self._here) else self._here
        self.tops = (str(self.top), str(self._link))
        self._repo, self._lock = repo, threading.Lock()
        self._environments: dict[Path, bool] = {self.top: False}

    @cached_property
    def _ignored(self) -> DvcIgnoreFilter:
        return DvcIgnoreFilter(self._repo.fs, self._repo.root_dir)  # its own: DVC's is for one thread

    def count(self, paths: Iterable[Path]) -> list[Path]:
        """Those of the paths that count, sorted; from any thread."""
        with self._lock:
            return sorted(path for path in set(paths) if self._counts(path))

    def real(self, path: Path) -> Path:
        """The path as DVC has it, if it names the folder of the run by a link."""
        normal = Path(os.path.normpath(path))
        return self._here / normal.relative_to(self._link) if normal.is_relative_to(self._link) else normal

    def _counts(self, path: Path) -> bool:
        if not path.is_relative_to(self.top):
            return False
        parts = path.relative_to(self.top).parts
        return not (
            not FOLDERS.isdisjoint(parts)
            or any(part.endswith(METADATA) for part in parts)
            or path.name in ABOUT
            or path.suffix == OF_DVC
            or self._in_environment(path.parent)
            or self._ignored.is_ignored_file(str(path))
        )

    def _in_environment(self, folder: Path) -> bool:
        """Whether the folder lies in one that holds a Python with packages."""
        if folder not in self._environments:
            here = any((folder / name).exists() for name in ENVIRONMENTS)
            self._environments[folder] = here or self._in_environment(folder.parent)
        return self._environments[folder]
