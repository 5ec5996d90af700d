"""What the run records, written as soon as a stage has ended: to dvc.lock and .gitignore, as DVC would."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from dvc.dvcfile import ProjectFile
from dvc.exceptions import DvcException
from dvc.stage.loader import StageLoader
from dvc.stage.serialize import to_single_stage_file
from dvc.utils.serialize import dumps_yaml

from gliaflow.core.ports import NotYet
from gliaflow.errors import UserError
from gliaflow.lockfiles.ignores import Ignores
from gliaflow.lockfiles.lockfile import LockFile, dumped_by
from gliaflow.lockfiles.whole import Files


class Recorder:
    """The lock files and .gitignore of the planned `stages`, by address in DVC's order; `held` is DVC's lock."""

    def __init__(self, repo: Any, held: Callable[[], AbstractContextManager[None]], stages: Mapping[str, Any]) -> None:
        self._held, self._stages, self._files = held, stages, Files(repo.tmp_dir)
        self._places = {address: place for place, address in enumerate(stages)}
        outs = {out.fs_path: self._places[stage.addressing] for stage in stages.values() for out in stage.outs}
        self._ignores = repo.__dict__["scm_context"] = Ignores(repo.scm_context, outs, self._files)
        self._locks = self._lock_files(repo)
        self._after, self._readers = _after(stages.values()), _readers(stages.values())
        self._settled: set[str] = set()
        self._unwritten: dict[str, list[str]] = {}  # recorded stages, and the paths that they have git ignore
        self._restorable: set[str] = set()  # those that the run-cache knows as well

    def _lock_files(self, repo: Any) -> dict[str, LockFile]:
        """By the path of the dvc.yaml."""
        places: dict[str, dict[str, int]] = {}
        for stage in self._stages.values():
            if isinstance(stage.dvcfile, ProjectFile):
                places.setdefault(stage.path, {})[stage.name] = self._places[stage.addressing]
        files = {stage.path: stage.dvcfile for stage in self._stages.values()}
        dump = dumped_by(repo)
        return {
            path: LockFile(Path(_lock_path(path)), those, files[path].lockfile_contents, self._files, dump)
            for path, those in places.items()
        }

    def listen(self) -> None:
        """From now on DVC saves what `record` then takes."""
        self._ignores.paths.clear()

    def record(self, stage: Any, restorable: bool = False) -> None:
        """Take what DVC saved of the stage, to be written when it is settled; the run-cache may know it as well."""
        self._unwritten[stage.addressing] = list(self._ignores.paths)
        if restorable:
            self._restorable.add(stage.addressing)

    def look_again(self, stage: Any) -> bool:
        """Have the stage know what others have written of it to dvc.lock; whether it is news.

        Raises:
            OSError, DvcException: dvc.lock cannot be read.
        """
        news = self._locks[stage.path].news(stage.name) if stage.path in self._locks else None
        if news:
            stage.cmd_changed = news.get(stage.PARAM_CMD) != stage.cmd
            StageLoader.fill_from_lock(stage, news)
            stage.dvcfile.lockfile_contents.setdefault("stages", {})[stage.name] = news
        return bool(news)

    def settle(self, address: str) -> dict[str, Exception]:
        """Nothing more is to come of the stage: write what is recorded; those that could not be written, and why."""
        self._settled.add(address)
        return self._write() if self._unwritten else {}

    def complete(self, address: str) -> None:
        """See to it that what the run writes into a folder which the stage reads is there, as it is under DVC.

        Raises:
            NotYet: a stage before it is not settled.
            UserError: one of them cannot be recorded.
        """
        before = list(self._stages)[: self._after.get(address, 0)]
        if not self._settled.issuperset(before):
            raise NotYet("what it reads gets a lock file, a .gitignore or an output of a stage before it")
        if not self._unwritten.keys().isdisjoint(before):
            for other, error in self._write().items():
                raise UserError(f"what it reads is not complete: {other} cannot be recorded: {error}")

    def close(self, failed: bool, stage_files: bool) -> dict[str, Exception]:
        """Write what is recorded and not written yet; those that could not be written, and why.

        If the run `failed`, git ignores its outputs as well, and dvc.lock is as DVC leaves it, which had stopped: new
        entries of stages behind the failed one are taken out, since the next run restores them. With `stage_files` git
        stages what was written, if DVC is configured so.
        """
        with self._held():
            errors = self._write(last=True)
            if failed:
                self._ignore_all()
                errors |= self._take_out()
            else:
                errors |= self._finish()
            if stage_files and self._ignores.autostage:
                self._ignores.track_changed_files()
            if not errors and self._settled.issuperset(self._stages):
                entries = {one.path: one.planned for one in self._locks.values()}
                with suppress(OSError):  # the next run then takes these entries for those of an unfinished one
                    self._files.finished(self._ignores.planned() | entries)
        return errors

    def _write(self, last: bool = False) -> dict[str, Exception]:
        errors: dict[str, Exception] = {}
        with self._held():
            for address in sorted(self._unwritten, key=self._places.__getitem__):
                if last or self._settled.issuperset(self._readers.get(address, ())):
                    with _noted(errors, address):
                        self._ignores.write(self._unwritten[address])
                        self._write_stage(self._stages[address])
                        del self._unwritten[address]
        return errors

    def _take_out(self) -> dict[str, Exception]:
        errors: dict[str, Exception] = {}
        missing = [self._places[address] for address in self._stages if address not in self._settled]
        behind = [a for a in self._restorable if self._places[a] > min(missing, default=len(self._places))]
        for path, file in self._locks.items():
            stages = {self._stages[address].name: address for address in behind if self._stages[address].path == path}
            with _noted(errors, *stages.values()):
                if stages and file.take_out(stages.keys()):
                    self._ignores.track_file(os.path.relpath(file.path))
        return errors

    def _finish(self) -> dict[str, Exception]:
        errors: dict[str, Exception] = {}
        with suppress(OSError):  # all lines are there
            self._ignores.finish()
        for path, file in self._locks.items():
            with _noted(errors, *(address for address, stage in self._stages.items() if stage.path == path)):
                if file.finish():
                    self._ignores.track_file(os.path.relpath(file.path))
        return errors

    def _write_stage(self, stage: Any) -> None:
        if stage.path in self._locks:
            file = self._locks[stage.path]
            changed, path = file.write([stage]), file.path
        else:
            path = Path(stage.path)
            before = path.read_bytes() if path.exists() else None
            text = dumps_yaml(to_single_stage_file(stage)).encode()
            changed = text != before
            if changed:
                self._files.write(path, text, [])
        if changed:
            self._ignores.track_file(os.path.relpath(path))

    def _ignore_all(self) -> None:
        paths = []
        for stage in self._stages.values():
            self._ignores.paths.clear()
            with suppress(DvcException, OSError):  # it is tracked, or its folder is not there
                stage.ignore_outs()
                paths += self._ignores.paths
        with suppress(DvcException, OSError):
            self._ignores.write(paths)


def has_entry(stage: Any) -> bool:
    """Whether dvc.lock has an entry of the stage since before this run."""
    file = stage.dvcfile
    return not isinstance(file, ProjectFile) or stage.name in file.lockfile_contents.get("stages", {})


@contextmanager
def _noted(errors: dict[str, Exception], *addresses: str) -> Iterator[None]:
    try:
        yield
    except (OSError, DvcException) as error:
        errors |= dict.fromkeys(addresses, error)


def _lock_path(path: str) -> str:
    return str(Path(path).with_suffix(".lock"))


def _written(stage: Any) -> list[str]:
    """The files that DVC writes when it has run the stage, apart from its outputs."""
    file = _lock_path(stage.path) if isinstance(stage.dvcfile, ProjectFile) else stage.path
    ignores = {f"{_above(out.fs_path)[0]}{os.sep}.gitignore" for out in stage.outs if out.use_scm_ignore}
    return [file, *ignores]


def _read(stage: Any) -> list[str]:
    return [dep.fs_path for dep in stage.deps if dep.fs and dep.protocol == "local"]


@lru_cache(maxsize=4096)
def _above(path: str) -> tuple[str, ...]:
    """The folders that a path lies in, the nearest first."""
    folder = os.path.dirname(path)  # noqa: PTH120 quicker
    return () if folder == path else (folder, *_above(folder))


def _after(stages: Iterable[Any]) -> dict[str, int]:
    """Of a stage that reads what the graph does not tell of: the place after the last that writes it.

    Lock files and .gitignore, or a folder into which they are written; what a frozen stage reads, which is hashed all
    the same.
    """
    written: dict[str, int] = {}  # path → place after the last stage that writes it, or below it
    made: dict[str, int] = {}  # output → place after the stage that makes it
    found = {}
    for place, stage in enumerate(stages):
        reads = _read(stage)
        places = [written.get(path, 0) for path in reads]
        for path in reads if stage.frozen else ():
            places += [made.get(one, 0) for one in (path, *_above(path))]
        if any(places):
            found[stage.addressing] = max(places)
        outs = [out.fs_path for out in stage.outs if out.protocol == "local"]
        made |= dict.fromkeys(outs, place + 1)
        for path in [*(files := _written(stage)), *outs]:
            written |= dict.fromkeys([*(files if path in files else ()), *_above(path)], place + 1)
    return found


def _readers(stages: Iterable[Any]) -> dict[str, list[str]]:
    """Of a stage, those before it that read a file which DVC writes when it has run: they read it as it is before."""
    read: dict[str, list[str]] = {}
    found = {}
    for stage in stages:
        paths = {one for file in _written(stage) for one in (file, *_above(file))}
        if readers := [reader for path in paths & read.keys() for reader in read[path]]:
            found[stage.addressing] = readers
        for path in _read(stage):
            read.setdefault(path, []).append(stage.addressing)
    return found
