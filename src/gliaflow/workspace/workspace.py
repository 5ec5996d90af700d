"""A DVC workspace: plan its graph, restore a stage or let it run, and record it as `dvc repro` would.

With plan.py, changes.py, runcache.py, remote.py, parcel.py, lockfile.py and locks.py all that knows DVC's internals,
each of which tests/flows/test_contract.py holds. Hashing, caching and locking are DVC's own; commands run outside its
lock.
"""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, chdir, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dvc.dependency.base import DependencyDoesNotExistError
from dvc.exceptions import CheckoutError, DvcException
from dvc.lock import LockError
from dvc.prompt import confirm
from dvc.repo import Repo
from dvc.stage.run import _enforce_cmd_list, _make_cmd, _pull_missing_deps, get_executable, prepare_kwargs

from gliaflow.store import runs as runcache
from gliaflow.workspace.changes import changes
from gliaflow.core.graph import Graph, Stage
from gliaflow.workspace.lockfile import LockFiles
from gliaflow.workspace.locks import Locks, busy_is_not_yet, noting_nothing
from gliaflow.core.settings import settings
from gliaflow.core.options import Change, Commands, Flags, Outcome
from gliaflow.workspace.parcel import Parcel, check, pack, unfold, unread
from gliaflow.workspace.plan import is_file, maker, newest, planned, sources
from gliaflow.machine.programs import Missing, Signature, Unclear, changed_meanwhile, check_program, signature
from gliaflow.store.records import Record
from gliaflow.store.repository import dvc_silent
from gliaflow.errors import UserError

FRESH_SECONDS = 1.0  # for so long nobody asks again what a stage reads


@dataclass
class _Begun:
    hashes: list[Any]  # of the dependencies, when the stage was begun; None of one that was not there
    when: float = field(default_factory=time.monotonic)

    def changed(self, stage: Any) -> list[Any]:
        """The dependencies that are not what they were."""
        both = zip(stage.deps, self.hashes, strict=True)
        return [dep for dep, before in both if before is not None and dep.hash_info != before]


class Workspace:
    """The repository that `root` lies in, seen from `root`, which is the working directory while it is open."""

    _one_at_a_time = threading.RLock()  # there is one working directory a process

    def __init__(self, root: Path | str = ".", flags: Flags | None = None, say: Callable[[str], None] = print) -> None:
        self.flags, self.say, self._root = flags or Flags(), say, Path(root)
        self._stages: dict[str, Any] = {}
        self._upstreams: dict[str, list[Any]] = {}
        self._sources: dict[str, Signature | None] = {}
        self._begun: dict[str, _Begun] = {}
        self._parcels: dict[str, tuple[Parcel, list[str]]] = {}  # of what is begun and runs on another host
        self._known: dict[str, runcache.Known] = {}  # what dvc.lock said when a stage was begun first
        self._wanted: set[str] = set()  # stages that DVC would run or restore
        self._said: set[str] = set()
        self.changes: dict[str, list[Change]] = {}  # why stages ran

    def __enter__(self) -> "Workspace":
        with ExitStack() as stack:
            stack.enter_context(self._one_at_a_time)
            stack.enter_context(chdir(self._root))
            stack.enter_context(dvc_silent())
            stack.enter_context(noting_nothing())
            self.repo = stack.enter_context(Repo(_wait_for_lock=True))
            self._locks = Locks(self.repo, self.say)
            if self.repo.config["core"].get("interactive", False):
                self.flags = replace(self.flags, interactive=True)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        with self._open:
            for stage in self._stages.values():
                with suppress(LockError, OSError, ValueError):  # the next run forgets what the dead have held
                    self._locks.release(stage)

    def plan(self, targets: Iterable[str] | str | None = None) -> Graph:
        """What DVC would reproduce for `targets`.

        Raises:
            DvcException: what DVC says of a broken dvc.yaml, a cycle or an unknown target.
            BadInput: wrong `meta:`.
        """
        with self._locks.held():
            self._locks.forget_the_dead()
            steps = planned(self.repo, targets, self.flags, self.say)
            self._stages = {stage.addressing: stage for stage in steps}
            self._upstreams = {stage.addressing: upstreams for stage, upstreams in steps.items()}
            self._sources = {path: signature(path) for path in sources(steps)}
            self._lockfiles = LockFiles(self.repo, self._locks, self._stages)
        return Graph(tuple(self._planned(address) for address in self._stages))

    def _planned(self, address: str) -> Stage:
        upstreams = (upstream.addressing for upstream in self._upstreams[address])
        asked = settings(self._stages[address].meta, f"stage '{address}'")
        return Stage(address, tuple(name for name in upstreams if name in self._stages), asked)

    def unchanged(self, address: str) -> bool:
        """Whether `dvc repro` would skip the stage as things are now."""
        with self._locks.held(), suppress(LockError):
            return not self._stages[address].changed(self.flags.allow_missing, self._upstreams[address])
        return False

    def begin(self, address: str, force: bool = False, here: bool = True) -> Outcome:
        """Do all that needs no command; RUN says that the stage has to run, on this host or not, after `start`.

        Raises:
            NotYet: another process works on the stage's paths, or a folder that it reads is not complete.
            Missing: a dependency is not there.
            UserError: its program is not there.
            DvcException: what DVC says.
        """
        stage, flags, upstreams = self._stages[address], self.flags, self._upstreams[address]
        with self._locks.held(), busy_is_not_yet():
            self._lockfiles.complete(address)
            runcache.put_back(self._known.setdefault(address, runcache.known(stage)))
            if stage.frozen or not stage.cmd:
                return self._verify(stage, force)
            if not force:
                if not stage.changed(flags.allow_missing, upstreams):
                    return Outcome.UNCHANGED
                self.changes[address] = changes(stage)
                if flags.pull and not stage.changed(True, upstreams) and self._pull(stage):
                    return Outcome.PULLED
                if flags.pull:
                    _pull_missing_deps(stage)
            question = f"Going to reproduce {stage}. Are you sure you want to continue?"
            if flags.interactive and address not in self._wanted and not confirm(question):
                raise DvcException("reproduction aborted by the user")
            self._wanted.add(address)
            self._check_deps(stage, force)
            if not force and runcache.restore(stage, lambda: _remove_outs(stage), flags.run_cache, flags.pull):
                self._record(stage, restored=True)
                return Outcome.RESTORED
            found = self.commands(address)
            if here:
                check_program(found.lines[0], found.arguments[0][0], found.cwd, found.env)
            missing = {
                dep for dep in filter(is_file, stage.deps) if force and not dep.exists
            }  # the command may make it
            stage.save_deps(allow_missing=force)
            self._begun[address] = _Begun([None if dep in missing else dep.hash_info for dep in stage.deps])
            if not here:
                self._parcels[address] = self._packed(stage)
            return Outcome.RUN

    def give_up(self, address: str) -> None:
        """The stage will not run: remove its outputs, as DVC has by then, lest what depends on it take them for new."""
        if address in self._wanted:
            with self._locks.held():
                _remove_outs(self._stages[address])

    def start(self, address: str, here: bool = True) -> bool:
        """Make a stage that has begun ready to run: its paths are held by this process, its outputs removed.

        Those of one that is to run on another host stay until it has, lest it never gets there.

        False if its dependencies changed while it may have waited for slots: it has to begin anew.

        Raises:
            NotYet: another process works on the stage's paths.
        """
        begun, stage = self._begun[address], self._stages[address]
        with self._locks.held(), busy_is_not_yet():
            if time.monotonic() - begun.when > FRESH_SECONDS:
                try:
                    stage.save_deps(allow_missing=None in begun.hashes)
                except DependencyDoesNotExistError:
                    return False
                if begun.changed(stage):
                    return False
            if here:
                self._clear(stage)
            else:
                self._locks.hold(stage, os.getpid())
            return True

    def _verify(self, stage: Any, force: bool) -> Outcome:
        """A stage without a command, or a frozen one."""
        if stage.frozen and not stage.is_import:
            self._say_once(f"{stage} is frozen: its dependencies are not reproduced")
        names = ("interactive", "pull", "allow_missing", "run_cache", "no_commit")
        given = {name: getattr(self.flags, name) for name in names}
        self._lockfiles.listen()
        if not stage.reproduce(upstream=self._upstreams[stage.addressing], force=force, **given):
            return Outcome.UNCHANGED
        self._lockfiles.record(stage)
        return Outcome.SAVED

    def _pull(self, stage: Any) -> bool:
        with suppress(CheckoutError):
            self.repo.pull(stage.addressing)
            stage.checkout()
            return True
        return False

    def _check_deps(self, stage: Any, force: bool) -> None:
        for dep in filter(is_file, stage.deps):
            if not dep.exists and not force:
                raise Missing(stage.addressing, str(dep), maker(self.repo, dep.fs_path))
            if dep.fs_path in self._sources and signature(dep.fs_path) != self._sources[dep.fs_path]:
                self._say_once(changed_meanwhile(stage.addressing, str(dep)))

    def _say_once(self, text: str) -> None:
        if text not in self._said:  # a stage may begin several times
            self._said.add(text)
            self.say(text)

    def commands(self, address: str) -> Commands:
        """What the stage executes, as DVC would."""
        stage, shell = self._stages[address], get_executable()
        lines, kwargs = _enforce_cmd_list(stage.cmd), prepare_kwargs(stage)
        return Commands(lines, [_make_cmd(shell, line) for line in lines], kwargs["cwd"], kwargs["env"])

    def clear(self, address: str) -> None:
        """Between two tries: remove the outputs as DVC does before the first."""
        with self._locks.held():
            self._clear(self._stages[address])

    def _clear(self, stage: Any) -> None:
        self._locks.hold(stage, os.getpid())
        try:
            _remove_outs(stage)
        except BaseException:
            self._locks.release(stage)
            raise

    def finish(self, address: str) -> dict[str, str]:
        """Hash, cache and record what the stage's commands made; its outputs, path → hash.

        Raises:
            Unclear: a dependency changed while the stage ran; nothing is recorded.
            DvcException: what DVC says, of an output that was not made for one.
        """
        with self._locks.held():
            self.release(address)
            self.repo.__dict__.pop("dvcignore", None)  # the command may have written a .dvcignore
            self._record(self._stages[address])
            return self.outputs(address)

    @property
    def top(self) -> Path:
        """The root of the git repository.

        Raises:
            UserError: there is none.
        """
        if self.repo.config["core"].get("no_scm", False):
            raise UserError("a stage travels to another host by git, which this repository does not use")
        return Path(self.repo.scm.root_dir)

    def check_travels(self, addresses: Iterable[str]) -> None:
        """Look for what keeps these stages from other hosts, as far as it can be known before anything has run.

        Raises:
            UserError: something does.
        """
        stages = [self._stages[address] for address in addresses]
        check(self.repo, [stage for stage in stages if stage.cmd and not stage.frozen])

    def parcel(self, address: str) -> tuple[Parcel, list[str]]:
        """A stage that is begun, to be run on another host; and the outputs that it does not read, from git's root."""
        return self._parcels[address]

    def _packed(self, stage: Any) -> tuple[Parcel, list[str]]:
        outs = {out.fs_path: out for out in self.repo.index.outs}
        outs |= {out.fs_path: out for planned in self._stages.values() for out in planned.outs}
        return pack(self.repo, stage, outs.values()), unread(stage, outs.values(), self.top)

    def arrive(self, address: str, record: Record) -> dict[str, str]:
        """Record what another host made of the stage, and this cache holds by now; its outputs, path → hash.

        Raises:
            Unclear: a dependency changed while the stage ran; nothing is recorded.
        """
        stage = self._stages[address]
        with self._locks.held():
            self.release(address)
            _remove_outs(stage)
            unfold(stage, record)
            self._record(stage)
            return self.outputs(address)

    def _record(self, stage: Any, restored: bool = False) -> None:
        flags = self.flags
        self._lockfiles.listen()
        stage.save(allow_missing=flags.allow_missing, run_cache=False)
        for changed in [] if restored else self._begun[stage.addressing].changed(stage):
            raise Unclear(stage.addressing, str(changed), newest(self.repo, changed))
        cached = not flags.no_commit and all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs)
        restorable = cached and flags.run_cache and runcache.takes(stage)
        if cached and not (restored and runcache.knows(stage)):
            self.repo.stage_cache.save(stage)
            restorable = restorable and runcache.recorded(stage)
        if not flags.no_commit:
            stage.commit(allow_missing=flags.allow_missing)
        self._lockfiles.record(stage, restorable)

    def foresee(self, address: str, coming: Mapping[str, Any]) -> tuple[list[Change], dict[str, Any] | None]:
        """Change nothing: why the stage would run, given what dependencies at the paths in `coming` will be.

        And, if a record of such a run is in the cache, what its outputs would be, by path.
        """
        stage = self._stages[address]
        with self._locks.held():
            why = changes(stage, coming)
            asks = why and stage.cmd and not stage.frozen and self.flags.run_cache
            return why, runcache.foreseen(stage, coming) if asks else None

    def hold(self, address: str, pid: int) -> None:
        """Have the stage's paths be busy as long as process `pid` lives."""
        self._locks.hold(self._stages[address], pid)

    def release(self, address: str) -> None:
        """Give the stage's paths back, if it has them."""
        self._locks.release(self._stages[address])

    def settle(self, address: str) -> dict[str, Exception]:
        """Nothing more is to come of the stage; those that could not be written to dvc.lock, and why."""
        return self._lockfiles.settle(address)

    def end(self, failed: bool, stage_files: bool) -> dict[str, Exception]:
        """Write what is recorded and not written yet; those that could not be written to dvc.lock, and why."""
        return self._lockfiles.flush(failed, last=True, stage_files=stage_files)

    def outputs(self, address: str) -> dict[str, str]:
        """The stage's outputs as last recorded, path → hash."""
        return {str(out): str(out.hash_info.value) for out in self._stages[address].outs if out.hash_info}

    @property
    def has_metrics(self) -> bool:
        """Whether any planned stage has metrics."""
        return any(out.metric for stage in self._stages.values() for out in stage.outs)


def _remove_outs(stage: Any) -> None:
    stage.remove_outs(ignore_remove=False, force=False)
