"""A DVC workspace: plan its graph, restore a stage or let it run, and record it as `dvc repro` would.

The only module that knows DVC's internals; tests/flows/test_contract.py holds each that is used here. All hashing,
caching and locking is DVC's own. Whatever touches the repository happens under DVC's lock, in one thread at a time;
commands run outside of it, their paths held in DVC's rwlock by the pid of their warden.
"""

import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dvc import rwlock
from dvc.dependency import ParamsDependency, RepoDependency
from dvc.dependency.db import AbstractDependency
from dvc.dvcfile import PROJECT_FILE, Lockfile, ProjectFile
from dvc.exceptions import CheckoutError, DvcException
from dvc.lock import LockError
from dvc.prompt import confirm
from dvc.repo import Repo
from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro
from dvc.repo.scm_context import SCMContext
from dvc.scm import Git, SCMError
from dvc.stage.cache import RunCacheNotFoundError, RunCacheNotSupported, _can_hash, _get_cache_hash
from dvc.stage.exceptions import StageCmdFailedError, StageFileDoesNotExistError, StageNotFound
from dvc.stage.run import _enforce_cmd_list, _make_cmd, _pull_missing_deps, get_executable, prepare_kwargs
from dvc.stage.serialize import to_single_stage_file, to_single_stage_lockfile
from dvc.utils.collections import ensure_list
from dvc.utils.serialize import dump_yaml
from scmrepo.exceptions import FileNotInRepoError

from flows.graph import Graph, Stage, settings
from flows.options import Change, Commands, Flags, Outcome
from flows.preflight import Missing, Signature, changed_meanwhile, check_program, signature
from flows.stale import forget_the_dead
from stages.errors import BadInput

POLL_SECONDS = 0.05  # between two looks at a lock that another process holds
PATIENCE_SECONDS = 1.0  # before saying that one waits for it
FLUSH_SECONDS = 10.0  # between two writes of lock files, at least
FLUSH_SHARE = 0.05  # of the time that may go into them, for each takes as long as the file is
FRESH_SECONDS = 1.0  # for so long nobody asks again what a stage reads


class NotYet(Exception):
    """A stage cannot begin now; try again later."""


@dataclass
class _Begun:
    hashes: list[Any]  # of the dependencies, when the stage was begun; None of one that was not there
    holder: dict[str, Any] = field(default_factory=dict)  # in the rwlock
    when: float = field(default_factory=time.monotonic)

    def changed(self, stage: Any) -> list[Any]:
        """The dependencies that are not what they were."""
        both = zip(stage.deps, self.hashes, strict=True)
        return [dep for dep, before in both if before is not None and dep.hash_info != before]


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


class Workspace:
    """The repository that `root` lies in, seen from `root`, which is the working directory while it is open."""

    _one_at_a_time = threading.RLock()  # there is one working directory a process

    def __init__(self, root: Path | str = ".", flags: Flags | None = None, say: Callable[[str], None] = print) -> None:
        self.flags, self.say = flags or Flags(), say
        self._root, self._lock, self._depth = Path(root), threading.RLock(), 0
        self._stages: dict[str, Any] = {}
        self._upstreams: dict[str, list[Any]] = {}
        self._sources: dict[str, Signature | None] = {}
        self._after: dict[str, int] = {}  # of stages that read what the run itself writes: how many have to be written
        self._begun: dict[str, _Begun] = {}
        self.changes: dict[str, list[Change]] = {}  # why stages ran
        self._settled: set[str] = set()
        self._unwritten: dict[str, list[str]] = {}  # recorded stages, and the paths that they have git ignore
        self._restorable: set[str] = set()  # those that the run-cache knows as well
        self._opened = self._flushed = time.monotonic()
        self._flushing = self._last_flush = 0.0  # seconds

    def __enter__(self) -> "Workspace":
        self._one_at_a_time.acquire()
        self._before, self._levels = Path.cwd(), [logger.level for logger in _LOGGERS]
        try:
            os.chdir(self._root)
            for logger in _LOGGERS:
                logger.setLevel(logging.CRITICAL)  # the flow does the talking
            self.repo = Repo(_wait_for_lock=True)
        except BaseException:
            self._leave()
            raise
        rwlock.rwlock = _look
        if self.repo.config["core"].get("interactive", False):
            self.flags = replace(self.flags, interactive=True)
        self.repo.lock._friendly = False
        self._ignores = self.repo.__dict__["scm_context"] = _Ignores(self.repo.scm_context)
        return self

    def __exit__(self, *_: object) -> None:
        for address in self._begun:
            self.release(address)
        self.repo.close()
        self._leave()

    def _leave(self) -> None:
        rwlock.rwlock = _RWLOCK
        for logger, level in zip(_LOGGERS, self._levels, strict=True):
            logger.setLevel(level)
        os.chdir(self._before)
        self._one_at_a_time.release()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold DVC's lock, and say so if another process makes this wait."""
        with self._lock:
            if not self._depth:
                self._wait_for_lock()
                self.repo._lock_depth += 1  # for functions of DVC that would lock by themselves
            self._depth += 1
            try:
                yield
            finally:
                self._depth -= 1
                if not self._depth:
                    self.repo._lock_depth -= 1
                    self.repo.lock.unlock()

    def _wait_for_lock(self) -> None:
        take = getattr(self.repo.lock, "_do_lock", self.repo.lock.lock)  # a hard-link lock waits by itself
        patience = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return take()  # type: ignore[no-any-return]
            except LockError:
                if time.monotonic() > patience:
                    patience = float("inf")
                    self.say("waiting for another DVC process to release its lock on this workspace")
                time.sleep(POLL_SECONDS)

    def plan(self, targets: Iterable[str] | str | None = None) -> Graph:
        """What DVC would reproduce for `targets`.

        Raises:
            DvcException: what DVC says of a broken dvc.yaml, a cycle or an unknown target.
            BadInput: wrong `meta:`.
        """
        flags, graph, steps = self.flags, None, []
        with self.locked():
            forget_the_dead(Path(self.repo.tmp_dir) / rwlock.RWLOCK_FILE)
            if not flags.all_pipelines:
                steps = self._targets(ensure_list(targets or PROJECT_FILE))
            if flags.pull and flags.run_cache and not flags.dry:
                with suppress(RunCacheNotSupported):
                    self.repo.stage_cache.pull(None)
            if not flags.alone:
                graph = get_active_graph(self.repo.index.graph)
                downstream = flags.downstream and not (flags.all_pipelines or flags.pipeline)
                steps = plan_repro(graph, steps, pipeline=flags.pipeline, downstream=downstream)
            files = {stage.path: stage.dvcfile for stage in steps}
            for stage in steps:
                stage.dvcfile = files[stage.path]  # one for all: each would read dvc.lock for itself
            self._stages = {stage.addressing: stage for stage in steps}
            self._upstreams = {stage.addressing: list(graph.successors(stage)) if graph else [] for stage in steps}
            self._sources = {path: signature(path) for path in self._undeclared()}
            self._after = _after(steps)
        return Graph(tuple(self._planned(address) for address in self._stages))

    def _targets(self, names: list[str]) -> list[Any]:
        flags = self.flags
        try:
            return list(collect_stages(self.repo, names, recursive=flags.recursive, glob=flags.glob))
        except (StageNotFound, StageFileDoesNotExistError) as error:
            with suppress(DvcException):  # the rest may be broken as well
                known = [stage.addressing for stage in self.repo.index.stages]
                near = [match for name in names if name not in known for match in get_close_matches(name, known)]
                if near:
                    error.add_note(f"the nearest names are {', '.join(map(repr, near))}")
            raise

    def _planned(self, address: str) -> Stage:
        upstreams = (upstream.addressing for upstream in self._upstreams[address])
        asked = settings(self._stages[address].meta, f"stage '{address}'")
        return Stage(address, tuple(name for name in upstreams if name in self._stages), asked)

    def _undeclared(self) -> set[str]:
        """What the planned stages read and none of them makes."""
        made = {out.fs_path for stage in self._stages.values() for out in stage.outs}
        above = {str(parent) for path in made for parent in Path(path).parents}
        read = {dep.fs_path for stage in self._stages.values() if stage.cmd for dep in stage.deps if _is_file(dep)}
        return {p for p in read - made - above if made.isdisjoint(map(str, Path(p).parents))}

    def unchanged(self, address: str) -> bool:
        """Whether `dvc repro` would skip the stage as things are now."""
        with self.locked(), suppress(LockError):
            return not self._stages[address].changed(self.flags.allow_missing, self._upstreams[address])
        return False

    def begin(self, address: str, force: bool = False) -> Outcome:
        """Do all that needs no command; RUN says that the stage has to run, after `start`.

        Raises:
            NotYet: another process works on the stage's paths, or a folder that it reads is not complete.
            Missing: a dependency is not there.
            UserError: its program is not there.
            DvcException: what DVC says.
        """
        stage, flags, upstreams = self._stages[address], self.flags, self._upstreams[address]
        with self.locked(), _busy():
            self._complete_folders(address)
            if stage.frozen or not stage.cmd:
                return self._verify(stage, force)
            if not force:
                if not stage.changed(flags.allow_missing, upstreams):
                    return Outcome.UNCHANGED
                self.changes[address] = _changes(stage)
                if flags.pull and not stage.changed(True, upstreams) and self._pull(stage):
                    return Outcome.PULLED
                if flags.pull:
                    _pull_missing_deps(stage)
            if flags.interactive and not confirm(f"Going to reproduce {stage}. Are you sure you want to continue?"):
                raise DvcException("reproduction aborted by the user")
            self._check_deps(stage, force)
            if not force and self._restore(stage):
                return Outcome.RESTORED
            found = self.commands(address)
            check_program(found.lines[0], found.arguments[0][0], found.cwd, found.env)
            missing = {dep for dep in stage.deps if force and not dep.exists}  # the command itself may make it
            stage.save_deps(allow_missing=force)
            self._begun[address] = _Begun([None if dep in missing else dep.hash_info for dep in stage.deps])
            return Outcome.RUN

    def _complete_folders(self, address: str) -> None:
        """What the run writes into a folder that the stage reads is there by now under DVC, which writes at once."""
        before = list(self._stages)[: self._after.get(address, 0)]
        if not self._settled.issuperset(before):
            raise NotYet("a folder that it reads gets a lock file or .gitignore of a stage before it")
        if not self._unwritten.keys().isdisjoint(before):
            for error in self.flush().values():
                raise error

    def _restore(self, stage: Any) -> bool:
        """Take the outputs from the cache if they are there; only then are those of before removed."""
        cache = self.repo.stage_cache
        try:
            with _before_checkout(cache, lambda: _remove_outs(stage)):
                cache.restore(stage, run_cache=self.flags.run_cache, pull=self.flags.pull)
        except RunCacheNotFoundError:
            return False
        self._record(stage, restored=True)
        return True

    def start(self, address: str) -> bool:
        """Make a stage that has begun ready to run: its outputs are removed, its paths held by this process.

        Nothing is done, and False returned, if it may have waited for slots while its dependencies changed.

        Raises:
            NotYet: another process works on the stage's paths.
        """
        begun, stage = self._begun[address], self._stages[address]
        with self.locked(), _busy():
            if time.monotonic() - begun.when > FRESH_SECONDS:
                stage.save_deps(allow_missing=True)
                if begun.changed(stage):
                    return False
            self.hold(address, os.getpid())
            _remove_outs(stage)
            return True

    def _verify(self, stage: Any, force: bool) -> Outcome:
        """A stage without a command, or a frozen one."""
        if stage.frozen and not stage.is_import:
            self.say(f"{stage} is frozen: its dependencies are not reproduced")
        names = ("interactive", "pull", "allow_missing", "run_cache", "no_commit")
        given = {name: getattr(self.flags, name) for name in names}
        self._ignores.paths.clear()
        if not stage.reproduce(upstream=self._upstreams[stage.addressing], force=force, **given):
            return Outcome.UNCHANGED
        self._unwritten[stage.addressing] = list(self._ignores.paths)
        return Outcome.SAVED

    def _pull(self, stage: Any) -> bool:
        with suppress(CheckoutError):
            self.repo.pull(stage.addressing)
            stage.checkout()
            return True
        return False

    def _check_deps(self, stage: Any, force: bool) -> None:
        for dep in filter(_is_file, stage.deps):
            if not dep.exists and not force:
                raise Missing(stage.addressing, str(dep), self._maker(dep.fs_path))
            if dep.fs_path in self._sources and signature(dep.fs_path) != self._sources[dep.fs_path]:
                self.say(changed_meanwhile(stage.addressing, str(dep)))

    def _maker(self, path: str) -> str | None:
        with suppress(DvcException):
            return str(self.repo.find_outs_by_path(path, strict=False)[0].stage.addressing)
        return None

    def commands(self, address: str) -> Commands:
        """What the stage executes, as DVC would."""
        stage, shell = self._stages[address], get_executable()
        lines, kwargs = _enforce_cmd_list(stage.cmd), prepare_kwargs(stage)
        return Commands(lines, [_make_cmd(shell, line) for line in lines], kwargs["cwd"], kwargs["env"])

    def hold(self, address: str, pid: int) -> None:
        """Hand the stage's paths to process `pid`; to DVC they are busy as long as it lives. With 0, give them back."""
        stage, folder, begun = self._stages[address], self.repo.tmp_dir, self._begun[address]
        read, write = _paths(stage.deps), _paths(stage.outs)
        info = {"pid": pid, "cmd": f"{' '.join(sys.argv)} [{address}]"}
        hard = self.repo.config["core"].get("hardlink_lock", False)
        with self.locked(), rwlock._edit_rwlock(folder, self.repo.fs, hard) as lock:
            if begun.holder:
                rwlock._release_write(lock, begun.holder, write)
                rwlock._release_read(lock, begun.holder, read)
                begun.holder = {}
            lock.setdefault("write", {})
            lock.setdefault("read", defaultdict(list))
            if pid:
                rwlock._check_blockers(folder, lock, info, mode="write", waiters=read + write)
                rwlock._check_blockers(folder, lock, info, mode="read", waiters=write)
                rwlock._acquire_read(lock, info, read)
                lock["write"] |= dict.fromkeys(write, info)
                begun.holder = info

    def release(self, address: str) -> None:
        """Give the stage's paths back, if it has them."""
        if address in self._begun and self._begun[address].holder:
            self.hold(address, 0)

    def clear(self, address: str) -> None:
        """Between two tries: remove the outputs as DVC does before the first."""
        with self.locked():
            self.hold(address, os.getpid())
            _remove_outs(self._stages[address])

    def finish(self, address: str) -> dict[str, str]:
        """Hash, cache and record what the stage's commands made; its outputs, path → hash.

        Raises:
            BadInput: a dependency changed while the stage ran; nothing is recorded.
            DvcException: what DVC says, of an output that was not made for one.
        """
        with self.locked():
            self.release(address)
            self._record(self._stages[address])
            return self.outputs(address)

    def _record(self, stage: Any, restored: bool = False) -> None:
        flags = self.flags
        self._ignores.paths.clear()
        stage.save(allow_missing=flags.allow_missing, run_cache=False)
        for changed in [] if restored else self._begun[stage.addressing].changed(stage):
            raise BadInput(
                f"stage '{stage.addressing}': '{changed}'{self._newest(changed)} changed while it ran, so nobody knows "
                "which of the two it read; nothing was recorded: run it again"
            )
        uncached = any(not out.use_cache for out in stage.outs if not (out.is_metric or out.is_plot))
        if not flags.no_commit and not uncached and not (restored and self._in_run_cache(stage)):
            self.repo.stage_cache.save(stage)
            self._restorable |= {stage.addressing} if _can_hash(stage) else set()
        if not flags.no_commit:
            stage.commit(allow_missing=flags.allow_missing)
        self._unwritten[stage.addressing] = list(self._ignores.paths)

    def _newest(self, dep: Any) -> str:
        if not _is_file(dep) or not Path(dep.fs_path).is_dir():
            return ""
        found = max(self.repo.dvcignore.find(dep.fs, dep.fs_path), key=lambda path: Path(path).stat().st_mtime_ns)
        hint = ", which .dvcignore could list" if "__pycache__" in found else ""
        return f" (its newest file is '{os.path.relpath(found)}'{hint})"

    def _in_run_cache(self, stage: Any) -> bool:
        entry = to_single_stage_lockfile(stage)
        value, key = _get_cache_hash(entry), _get_cache_hash(entry, key=True)
        path = Path(self.repo.stage_cache._get_cache_path(key, value))
        return all(out.use_cache for out in stage.outs) and path.exists()

    def foresee(self, address: str, coming: Mapping[str, Any]) -> tuple[list[Change], dict[str, Any] | None]:
        """Change nothing: why the stage would run, given what dependencies at the paths in `coming` will be.

        And, if a record of such a run is in the cache, what its outputs would be, by path.
        """
        stage = self._stages[address]
        with self.locked():
            changes = _changes(stage, coming)
            if not changes or stage.frozen or not stage.cmd or not self.flags.run_cache:
                return changes, None
            before = [(dep, dep.hash_info, dep.meta) for dep in stage.deps]
            try:
                for dep in stage.deps:
                    if dep.fs_path in coming:
                        dep.hash_info, dep.meta = coming[dep.fs_path]
                    else:
                        dep.save()
                return changes, self._recorded(stage)
            except (OSError, DvcException):  # a dependency is not there
                return changes, None
            finally:
                for dep, hash_info, meta in before:
                    dep.hash_info, dep.meta = hash_info, meta

    def _recorded(self, stage: Any) -> dict[str, Any] | None:
        if not stage.deps or not stage.outs or stage.always_changed or any(out.persist for out in stage.outs):
            return None
        cache, key = self.repo.stage_cache, _get_cache_hash(to_single_stage_lockfile(stage), key=True)
        entries = sorted(Path(cache._get_cache_dir(key)).glob("*"), key=lambda path: path.stat().st_mtime)
        found = cache._load_cache(key, entries[-1].name) if entries else None
        if found is None:
            return None
        restored = cache._create_stage(found, wdir=stage.wdir)
        return {out.fs_path: (out.hash_info, out.meta) for out in restored.outs} if restored.outs_cached() else None

    def outputs(self, address: str) -> dict[str, str]:
        """The stage's outputs as last recorded, path → hash."""
        return {str(out): str(out.hash_info.value) for out in self._stages[address].outs if out.hash_info}

    @property
    def has_metrics(self) -> bool:
        """Whether any planned stage has metrics."""
        return any(out.metric for stage in self._stages.values() for out in stage.outs)

    def settle(self, address: str) -> dict[str, Exception]:
        """Nothing more is to come of the stage; what can be written is written, now and then, as by `flush`."""
        self._settled.add(address)
        now = time.monotonic()
        if now - self._flushed > FLUSH_SECONDS and self._flushing + self._last_flush < FLUSH_SHARE * (
            now - self._opened
        ):
            return self.flush()
        return {}

    def flush(self, failed: bool = False, last: bool = False) -> dict[str, Exception]:
        """Write what is recorded to .gitignore and dvc.lock; the stages that could not be written, and why.

        A new entry waits until all stages that DVC runs before it are settled, so that it stands where DVC would have
        put it. If they never are, after a failure, it is left to the next run, which restores the stage; only what the
        run-cache cannot restore is written the `last` time. If the run `failed`, git ignores its outputs as well.
        """
        began, in_order = time.monotonic(), True
        ready: dict[str, list[Any]] = {}
        errors: dict[str, Exception] = {}
        with self.locked():
            self.repo.scm._reset()  # others may have changed what git ignores
            for address, stage in self._stages.items():
                in_order = in_order and address in self._settled
                lost_otherwise = last and address not in self._restorable
                if address in self._unwritten and (in_order or lost_otherwise or _has_entry(stage)):
                    with _noted(errors, address):
                        self._ignores.write(self._unwritten[address])
                        ready.setdefault(stage.path, []).append(stage)
            for stages in ready.values():
                addresses = [stage.addressing for stage in stages]
                with _noted(errors, *addresses):
                    self._write(stages)
                    for address in addresses:
                        del self._unwritten[address]
            self.repo.scm._reset()
            for stage in self._stages.values() if failed else ():
                self._ignores.paths.clear()
                with suppress(DvcException, OSError):  # it is tracked, or its folder is not there
                    stage.ignore_outs()
                    self._ignores.write(self._ignores.paths)
            if last and self._ignores.autostage and not failed:
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
        with tempfile.TemporaryDirectory(dir=self.repo.tmp_dir) as folder:
            partial = Path(folder) / target.name
            if target.exists():
                shutil.copy2(target, partial)
            if pipeline:
                Lockfile(self.repo, str(partial)).dump_stages(stages)
                self._ignores.files_to_track.discard(os.path.relpath(partial))
            else:
                dump_yaml(str(partial), to_single_stage_file(stages[0]))
            if not target.exists() or partial.read_bytes() != target.read_bytes():
                self._ignores.track_file(os.path.relpath(target))
            if partial.stat().st_dev != target.parent.stat().st_dev:  # nothing moves whole between the two
                partial = Path(shutil.copy2(partial, target.with_name(f".{target.name}.partial")))
            partial.replace(target)

    @staticmethod
    def command_failed(command: str, code: int) -> Exception:
        """What DVC raises for a command that ends with this code."""
        raised: Exception = StageCmdFailedError(command, code)
        return raised


_LOGGERS = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
_RWLOCK = rwlock.rwlock


@contextmanager
def _look(folder: str, _fs: Any, cmd: str, read: list[str], write: list[str], _hard: bool) -> Iterator[None]:
    """In place of DVC's rwlock: raises as it does, but notes nothing down.

    DVC calls it only while it holds its lock, and so does everyone else who would read the notes. It writes them
    twice for each of six nested calls a stage, which was a third of the time that a restore took.
    """
    info, path = {"pid": os.getpid(), "cmd": cmd}, Path(folder) / rwlock.RWLOCK_FILE
    found = json.loads(path.read_text()) if path.exists() else {}
    write_of_others = {name: one for name, one in found.get("write", {}).items() if one["pid"] != info["pid"]}
    read_by_others = {n: [i for i in infos if i["pid"] != info["pid"]] for n, infos in found.get("read", {}).items()}
    lock = {"write": write_of_others, "read": read_by_others}
    rwlock._check_blockers(folder, lock, info, mode="write", waiters=read + write)
    rwlock._check_blockers(folder, lock, info, mode="read", waiters=write)
    yield


@contextmanager
def _busy() -> Iterator[None]:
    try:
        yield
    except LockError as error:
        raise NotYet(" ".join(str(error).partition("If there are no")[0].split())) from None


def _after(stages: Iterable[Any]) -> dict[str, int]:
    """Of a stage that reads what the graph does not tell of: the place after the last that writes it.

    A folder into which lock files or .gitignore are written; what a frozen stage reads, which is hashed all the same.
    """
    written: dict[str, int] = {}  # folder → place after the last stage that writes below it
    made: dict[str, int] = {}  # output → place after the stage that makes it
    found = {}
    for place, stage in enumerate(stages):
        reads = [dep.fs_path for dep in stage.deps if _is_file(dep)]
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


@contextmanager
def _noted(errors: dict[str, Exception], *addresses: str) -> Iterator[None]:
    try:
        yield
    except (OSError, DvcException) as error:
        errors |= dict.fromkeys(addresses, error)


@contextmanager
def _before_checkout(cache: Any, action: Callable[[], None]) -> Iterator[None]:
    """Act between DVC's finding a stage in its cache and taking the outputs from it."""
    create = cache._create_stage

    def created(*args: Any, **kwargs: Any) -> Any:
        found = create(*args, **kwargs)
        checkout = found.checkout

        def acted(**options: Any) -> Any:
            action()
            return checkout(**options)

        found.checkout = acted
        return found

    cache._create_stage = created
    try:
        yield
    finally:
        del cache._create_stage


def _remove_outs(stage: Any) -> None:
    stage.remove_outs(ignore_remove=False, force=False)


def _is_file(dep: Any) -> bool:
    return not isinstance(dep, ParamsDependency) and dep.protocol == "local"


def _has_entry(stage: Any) -> bool:
    """Whether dvc.lock has an entry of the stage since before this run; it keeps its place."""
    file = stage.dvcfile
    return not isinstance(file, ProjectFile) or stage.name in file.lockfile_contents.get("stages", {})


def _changes(stage: Any, coming: Mapping[str, Any] = MappingProxyType({})) -> list[Change]:
    if stage.cmd and (stage.is_callback or stage.always_changed):
        return [Change("always", "it runs every time")]
    if not _has_entry(stage):
        return [Change("new", "it is in no dvc.lock yet")]
    found = [Change("command", "its command changed")] if stage.changed_stage() else []
    for dep in [] if stage.frozen else stage.deps:
        if isinstance(dep, ParamsDependency):
            old, new = dep.hash_info.value or {}, dep.read_params()
            names = dict.fromkeys([*dep.params, *old]) if dep.params else dict.fromkeys([*old, *new])
            found += [Change("parameter", n, old.get(n), new.get(n)) for n in names if old.get(n) != new.get(n)]
        elif dep.fs_path in coming:
            if dep.hash_info != coming[dep.fs_path][0]:
                found.append(Change("dependency", str(dep), new="modified"))
        else:
            found += [Change("dependency", name, new=state) for name, state in dep.status().items()]
    return found + [Change("output", name, new=state) for out in stage.outs for name, state in out.status().items()]


def _paths(entries: Iterable[Any]) -> list[str]:
    return [entry.fs_path for entry in entries if not isinstance(entry, RepoDependency | AbstractDependency)]
