"""What the run records, written to dvc.lock and .gitignore as DVC would have written it one stage after another."""

import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dvc.dvcfile import Lockfile, ProjectFile
from dvc.exceptions import DvcException
from dvc.repo.scm_context import SCMContext
from dvc.scm import Git, SCMError
from dvc.stage.serialize import to_single_stage_file
from dvc.utils.serialize import dump_yaml
from scmrepo.exceptions import FileNotInRepoError

from gliaflow.core.ports import NotYet
from gliaflow.errors import UserError
from gliaflow.workspace.locks import Locks

FLUSH_SECONDS = 10.0  # between two writes of lock files, at least
FLUSH_SHARE = 0.05  # of the time that may go into them, for each takes as long as the file is


class _Ignores(SCMContext):  # type: ignore[misc]
    """Keeps back lines of .gitignore, which stand in DVC's order whatever the order in which stages end."""

    def __init__(self, context: Any) -> None:
        super().__init__(context.scm)
        self.autostage = context.autostage
        self.paths: list[str] = []

    def ignore(self, path: str) -> None:
        if isinstance(self.scm, Git):
            try:
                self.scm._get_gitignore(path)
            except FileNotInRepoError as error:
                raise SCMError(str(error)) from None
        self.paths.append(path)

    def write(self, paths: Iterable[str]) -> None:
        for path in paths:
            super().ignore(path)


class LockFiles:
    """The lock files and .gitignore of the planned `stages`, by address in DVC's order."""

    def __init__(self, repo: Any, locks: Locks, stages: Mapping[str, Any]) -> None:
        self._repo, self._locks, self._stages = repo, locks, stages
        self._ignores = repo.__dict__["scm_context"] = _Ignores(repo.scm_context)
        self._after = _after(stages.values())
        self._settled: set[str] = set()
        self._unwritten: dict[str, list[str]] = {}  # recorded stages, and the paths that they have git ignore
        self._restorable: set[str] = set()  # those that the run-cache knows as well
        self._opened = self._flushed = time.monotonic()
        self._flushing = self._last_flush = 0.0  # seconds

    def listen(self) -> None:
        """From now on DVC saves what `record` then takes."""
        self._ignores.paths.clear()

    def record(self, stage: Any, restorable: bool = False) -> None:
        """Take what DVC saved of the stage, to be written; it need not be at once if the run-cache could restore it."""
        self._unwritten[stage.addressing] = list(self._ignores.paths)
        if restorable:
            self._restorable.add(stage.addressing)

    def settle(self, address: str) -> dict[str, Exception]:
        """Nothing more is to come of the stage; what can be written is written, now and then, as by `flush`."""
        self._settled.add(address)
        now = time.monotonic()
        spent, allowed = self._flushing + self._last_flush, FLUSH_SHARE * (now - self._opened)
        return self.flush() if now - self._flushed > FLUSH_SECONDS and spent < allowed else {}

    def complete(self, address: str) -> None:
        """See to it that what the run writes into a folder which the stage reads is there, as it is under DVC.

        Raises:
            NotYet: a stage before it is not settled.
        """
        before = list(self._stages)[: self._after.get(address, 0)]
        if not self._settled.issuperset(before):
            raise NotYet("what it reads gets a lock file, a .gitignore or an output of a stage before it")
        if not self._unwritten.keys().isdisjoint(before):
            for other, error in self.flush().items():
                raise UserError(f"what it reads is not complete: {other} cannot be recorded: {error}")

    def flush(self, failed: bool = False, last: bool = False, stage_files: bool = False) -> dict[str, Exception]:
        """Write what is recorded to .gitignore and dvc.lock; the stages that could not be written, and why.

        A new entry waits until all stages that DVC runs before it are settled, so that it stands where DVC would have
        put it. If they never are, after a failure, it is left to the next run, which restores the stage; only what the
        run-cache cannot restore is written the `last` time. If the run `failed`, git ignores its outputs as well. With
        `stage_files` git stages what was written, if DVC is configured so.
        """
        began, in_order = time.monotonic(), True
        ready: dict[str, list[Any]] = {}
        errors: dict[str, Exception] = {}
        with self._locks.held():
            self._repo.scm._reset()  # others may have changed what git ignores
            for address, stage in self._stages.items():
                in_order = in_order and address in self._settled
                lost_otherwise = last and address not in self._restorable
                if address in self._unwritten and (in_order or lost_otherwise or has_entry(stage)):
                    with _noted(errors, address):
                        self._ignores.write(self._unwritten[address])
                        ready.setdefault(stage.path, []).append(stage)
            for stages in ready.values():
                addresses = [stage.addressing for stage in stages]
                with _noted(errors, *addresses):
                    self._write(stages)
                    for address in addresses:
                        del self._unwritten[address]
            if failed:
                self._ignore_all()
            if stage_files and self._ignores.autostage:
                self._ignores.track_changed_files()
        self._flushed = time.monotonic()
        self._last_flush = self._flushed - began
        self._flushing += self._last_flush
        return errors

    def _write(self, stages: list[Any]) -> None:
        """Dump as DVC does, but whole or not at all."""
        file = stages[0].dvcfile
        pipeline = isinstance(file, ProjectFile)
        target = Path(file._lockfile.path if pipeline else file.path).resolve()
        with tempfile.TemporaryDirectory(dir=self._repo.tmp_dir) as folder:
            partial = Path(folder) / target.name
            if target.exists():
                shutil.copy2(target, partial)
            if pipeline:
                Lockfile(self._repo, str(partial)).dump_stages(stages)
                self._ignores.files_to_track.discard(os.path.relpath(partial))
            else:
                dump_yaml(str(partial), to_single_stage_file(stages[0]))
            if not target.exists() or partial.read_bytes() != target.read_bytes():
                self._ignores.track_file(os.path.relpath(target))
            if partial.stat().st_dev != target.parent.stat().st_dev:  # nothing moves whole between the two
                partial = Path(shutil.copy2(partial, target.with_name(f".{target.name}.partial")))
            partial.replace(target)

    def _ignore_all(self) -> None:
        self._repo.scm._reset()
        for stage in self._stages.values():
            self._ignores.paths.clear()
            with suppress(DvcException, OSError):  # it is tracked, or its folder is not there
                stage.ignore_outs()
                self._ignores.write(self._ignores.paths)


def has_entry(stage: Any) -> bool:
    """Whether dvc.lock has an entry of the stage since before this run; it keeps its place."""
    file = stage.dvcfile
    return not isinstance(file, ProjectFile) or stage.name in file.lockfile_contents.get("stages", {})


@contextmanager
def _noted(errors: dict[str, Exception], *addresses: str) -> Iterator[None]:
    try:
        yield
    except (OSError, DvcException) as error:
        errors |= dict.fromkeys(addresses, error)


def _after(stages: Iterable[Any]) -> dict[str, int]:
    """Of a stage that reads what the graph does not tell of: the place after the last that writes it.

    A folder into which lock files or .gitignore are written; what a frozen stage reads, which is hashed all the same.
    """
    written: dict[str, int] = {}  # folder → place after the last stage that writes below it
    made: dict[str, int] = {}  # output → place after the stage that makes it
    found = {}
    for place, stage in enumerate(stages):
        reads = [dep.fs_path for dep in stage.deps if dep.fs and dep.protocol == "local"]
        places = [written.get(path, 0) for path in reads]
        for path in reads if stage.frozen else ():
            places += [made.get(str(one), 0) for one in (path, *Path(path).parents)]
        if any(places):
            found[stage.addressing] = max(places)
        outs = [out.fs_path for out in stage.outs if out.protocol == "local"]
        made |= dict.fromkeys(outs, place + 1)
        for path in [stage.path, *outs]:
            written |= dict.fromkeys(map(str, Path(path).parents), place + 1)
    return found
