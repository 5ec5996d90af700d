"""A DVC workspace: plan its graph, restore a stage or let it run, and record it as `dvc repro` would.

Hashing and caching are DVC's own, under its lock; commands run outside of it. Tests hold each of DVC's internals that
this room and the store rely on.
"""

import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, chdir, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dvc.dependency.base import DependencyDoesNotExistError
from dvc.dependency.param import ParamsDependency
from dvc.exceptions import CheckoutError
from dvc.lock import LockError
from dvc.prompt import confirm
from dvc.repo import Repo
from dvc.stage import PipelineStage
from dvc.stage.exceptions import MissingDataSource
from dvc.stage.run import _enforce_cmd_list, _make_cmd, _pull_missing_deps, get_executable, prepare_kwargs

from gliaflow.core.graph import Graph, Stage
from gliaflow.core.options import Options
from gliaflow.core.ports import Coming, Commands, Foreseen, NotYet, Prepared, Reply
from gliaflow.core.report import Change, Outcome, Output, Recorded
from gliaflow.core.settings import settings
from gliaflow.errors import UserError
from gliaflow.lockfiles.recorder import Recorder
from gliaflow.lockfiles.text import quick_records
from gliaflow.machine.programs import check_program, check_shell
from gliaflow.memo.graph import loaded_once, quick
from gliaflow.memo.hashes import Hashes
from gliaflow.memo.ignored import ignores_kept, index_read_once, look_again
from gliaflow.memo.links import links_known
from gliaflow.memo.parsed import parsed_once
from gliaflow.memo.paths import paths_known
from gliaflow.store import runs
from gliaflow.store.repository import dvc_silent
from gliaflow.turns import turn
from gliaflow.words.errors import words
from gliaflow.workspace.changes import (
    Declined,
    NothingThere,
    NotThere,
    Outlook,
    Signature,
    Unclear,
    changed_meanwhile,
    changes,
    newest,
    refused,
    signature,
)
from gliaflow.workspace.locks import Locks, busy_is_not_yet
from gliaflow.workspace.parcel import pack, unfold
from gliaflow.workspace.plan import is_file, maker, planned, sources
from gliaflow.workspace.travel import check
from gliaflow.workspace.twins import Twins

TRUSTED_SECONDS = 1.0  # for so long nobody asks again what a stage reads


@dataclass
class _Read:
    hashes: list[Any]  # of the dependencies, when the stage was prepared; None of one that was not there
    folder: Path | None  # of its records in the run-cache
    records: list[Path]  # those which could not restore it then
    when: float = field(default_factory=time.monotonic)

    def changed(self, stage: Any) -> list[Any]:
        """The dependencies that are not what they were."""
        both = zip(stage.deps, self.hashes, strict=True)
        return [dep for dep, before in both if before is not None and dep.hash_info != before]


class Workspace:
    """The repository that `root` lies in, seen from `root`, which is the working directory while it is open."""

    def __init__(
        self,
        root: Path | str = ".",
        options: Options | None = None,
        say: Callable[[str], None] = print,
        twins: Twins | None = None,
    ) -> None:
        self.options, self._say, self._root = options or Options(), say, Path(root)
        self._stages: dict[str, Any] = {}
        self._upstreams: dict[str, list[Any]] = {}
        self._sources: dict[str, Signature | None] = {}
        self._read: dict[str, _Read] = {}
        self._known: dict[str, runs.Known] = {}  # what dvc.lock said when a stage was prepared first
        self._wanted: set[str] = set()  # stages that DVC would run or restore
        self._told: set[str] = set()
        self._twins = twins
        self._made: set[str] = set()  # hashes of what the stages foreseen so far would put into the cache

    def __enter__(self) -> "Workspace":
        with ExitStack() as stack:
            stack.enter_context(turn(self._root, self._say))
            stack.enter_context(chdir(self._root))
            stack.enter_context(dvc_silent(self._say))
            stack.enter_context(quick())
            stack.enter_context(links_known())
            stack.enter_context(paths_known())
            stack.enter_context(quick_records())
            self.repo = stack.enter_context(Repo(_wait_for_lock=True))
            stack.enter_context(parsed_once(self.repo.tmp_dir))
            stack.enter_context(index_read_once(self.repo.scm))
            stack.enter_context(ignores_kept(self.repo))
            self._hashes = Hashes(str(self.repo.root_dir))
            stack.enter_context(self._hashes.installed())
            self._locks = Locks(self.repo, self._say)
            stack.enter_context(self._locks.noting_nothing())
            if self.repo.config["core"].get("interactive", False):
                self.options = replace(self.options, interactive=True)
            self._open = stack.pop_all()
        return self

    def __exit__(self, _: object, error: BaseException | None, traceback: object) -> None:
        with self._open:
            if isinstance(error, Exception):
                words(error)  # as long as the paths that DVC names are right
            for stage in self._stages.values():
                with suppress(LockError, OSError, ValueError):  # the next run forgets what the dead have held
                    self.release(stage.addressing)

    @property
    def cache(self) -> str | None:
        """The folder in which DVC keeps the files of this machine by their hashes."""
        return str(self.repo.cache.local.path)

    @property
    def commit(self) -> str:
        """The commit that is checked out; nothing without git, or before the first."""
        if self.repo.config["core"].get("no_scm", False) or self.repo.scm.no_commits:
            return ""
        return str(self.repo.scm.get_rev())

    @property
    def plots(self) -> list[dict[str, object]]:
        """What stands under `plots:` at the top of each dvc.yaml: its name, how it is drawn, and the file's folder."""
        return [
            {"folder": Path(file).parent.as_posix(), "name": name, "drawn": drawn or {}}
            for file, listed in self.repo.index._plots.items()
            for one in listed
            for name, drawn in ({one: {}} if isinstance(one, str) else one).items()
        ]

    def plan(self, targets: Iterable[str] = ()) -> Graph:
        """What DVC would reproduce for `targets`.

        Raises:
            DvcException: what DVC says of a broken dvc.yaml, a cycle or an unknown target.
            BadInput: wrong `meta:`.
        """
        with self._locks.held():
            self._locks.forget_the_dead()
            with loaded_once():
                steps = planned(self.repo, targets, self.options, self._say)
            self._stages = {stage.addressing: stage for stage in steps}
            self._upstreams = {stage.addressing: upstreams for stage, upstreams in steps.items()}
            self._sources = {path: signature(path) for path in sources(steps)}
            self._records = runs.Records(self.repo)
            self._lockfiles = Recorder(self.repo, self._locks.held, self._stages)
        return Graph(tuple(self._planned(address) for address in self._stages))

    def _planned(self, address: str) -> Stage:
        upstreams = (upstream.addressing for upstream in self._upstreams[address])
        asked = settings(self._stages[address].meta, f"stage '{address}'")
        metrics = any(out.metric for out in self._stages[address].outs)
        return Stage(address, tuple(name for name in upstreams if name in self._stages), asked, metrics)

    def unchanged(self, addresses: Iterable[str]) -> bool:
        """Whether `dvc repro` would skip all these stages as things are now; looks no further than the first other."""
        with self._locks.held(), suppress(LockError):
            return not any(self._changed(address) for address in addresses)
        return False

    def _changed(self, address: str) -> bool:
        with self._hashes.moment():
            return bool(self._stages[address].changed(self.options.allow_missing, self._upstreams[address]))

    def prepare(self, address: str, force: bool = False, travels: bool = False) -> Prepared:
        """Do all that needs no command; RUN tells that the stage has to run, after `claim`.

        With `travels` it runs in another workspace, and a parcel is packed for it.

        Raises:
            NotYet: another process works on the stage's paths, or runs the same stage on the same data; or a folder
                that it reads is not complete.
            Missing: a dependency is not there.
            UserError: its program is not there, or something else that DVC tells of what it needs.
            DvcException: the remote failed, or the person wants no run.
        """
        stage, options, upstreams = self._stages[address], self.options, self._upstreams[address]
        why: tuple[Change, ...] = ()
        with self._locks.held(), self._hashes.moment(self._own(stage)), refused(), busy_is_not_yet():
            self._lockfiles.complete(address)
            runs.put_back(self._known.setdefault(address, runs.known(stage)))
            self._look_again(address)
            if stage.frozen or not stage.cmd:
                return self._verified(stage, force)
            if not force:
                if not stage.changed(options.allow_missing, upstreams):
                    return Prepared(Outcome.UNCHANGED)
                why = tuple(changes(stage))
                if options.pull and not stage.changed(True, upstreams) and self._pull(stage):
                    return Prepared(Outcome.PULLED, why)
                if options.pull:
                    _pull_missing_deps(stage)
            self._ask(stage)
            self._check_deps(stage, force)
            if not force and runs.restore(stage, lambda: _remove_outs(stage), options.run_cache, options.pull):
                self._record(stage, restored=True)
                return Prepared(Outcome.RESTORED, why, self._outputs(stage))
            return self._to_run(stage, why, force, travels)

    def _ask(self, stage: Any) -> None:
        """Ask the person, if they want to be; once a stage, since it may be prepared several times."""
        question = f"Going to reproduce {stage}. Are you sure you want to continue?"
        if self.options.interactive and stage.addressing not in self._wanted and not confirm(question):
            raise Declined("reproduction aborted by the user")
        self._wanted.add(stage.addressing)

    def _to_run(self, stage: Any, why: tuple[Change, ...], force: bool, travels: bool) -> Prepared:
        if not travels:
            check_shell(get_executable(), stage.wdir, os.environ)  # DVC starts some to make its command
        commands = self._commands(stage)
        if not travels:
            self._check_program(commands)
        missing = {dep for dep in filter(is_file, stage.deps) if force and not dep.exists}  # the command may make it
        stage.save_deps(allow_missing=force)
        folder = None if missing else runs.folder(stage)
        if self._twins and folder and (runner := self._twins.runner(folder.name)):
            raise NotYet(f"{runner} runs the same stage on the same data")
        hashes = [None if dep in missing else dep.hash_info for dep in stage.deps]
        self._read[stage.addressing] = _Read(hashes, folder, runs.records(folder))
        outs = tuple(out.fs_path for out in stage.outs if is_file(out))
        parcel = self._packed(stage) if travels else None
        return Prepared(Outcome.RUN, why, {}, commands, parcel, folder.name if folder else "", outs)

    @staticmethod
    def _check_program(commands: Commands) -> None:
        check_program(commands.lines[0], commands.arguments[0][0], commands.cwd, commands.env)

    def discard(self, address: str) -> None:
        """The stage will not run: remove its outputs, as DVC has by then, or what depends on it takes them for new."""
        if address in self._wanted:
            with self._locks.held():
                _remove_outs(self._stages[address])

    def claim(self, address: str, travels: bool = False) -> bool:
        """Make a prepared stage ready to run: this process holds its paths, and its outputs are removed.

        The outputs of one that `travels` stay until it has run, since it may never get there. False if dependencies
        changed while the stage may have waited for slots, or another run has recorded it: it has to be prepared anew.

        Raises:
            NotYet: another process works on the stage's paths.
        """
        read, stage = self._read[address], self._stages[address]
        self._hashes.begin()
        if self._twins and read.folder and not self._twins.take(read.folder.name):
            return False
        claimed = False
        try:
            with self._locks.held(), self._hashes.moment(self._own(stage)), busy_is_not_yet():
                if self._as_prepared(stage, read):
                    if travels:
                        self._locks.hold(stage, os.getpid())
                    else:
                        self._clear(stage)
                    claimed = True
        finally:
            if not claimed:
                self._end_of_twin(address)
        return claimed

    def _as_prepared(self, stage: Any, read: _Read) -> bool:
        """Whether the stage still has to run on what it was prepared for."""
        if self._look_again(stage.addressing) or runs.records(read.folder) != read.records:
            return False
        if time.monotonic() - read.when > TRUSTED_SECONDS:
            try:
                stage.save_deps(allow_missing=None in read.hashes)
            except DependencyDoesNotExistError:
                return False
            return not read.changed(stage)
        return True

    def _end_of_twin(self, address: str) -> None:
        read = self._read.get(address)
        if self._twins and read and read.folder:
            self._twins.give_back(read.folder.name)

    def _look_again(self, address: str) -> bool:
        """Whether another run has recorded the stage in dvc.lock, which it then knows."""
        news = self._lockfiles.look_again(self._stages[address])
        if news:
            self._known[address] = runs.known(self._stages[address])
        return news

    def _verified(self, stage: Any, force: bool) -> Prepared:
        """A stage without a command, or a frozen one."""
        if stage.frozen and not stage.is_import:
            self._tell_once(f"{stage} is frozen: its dependencies are not reproduced")
        names = ("interactive", "pull", "allow_missing", "run_cache", "no_commit")
        options = self.options
        given = {name: getattr(options, name) for name in names}
        self._lockfiles.listen()
        upstreams = self._upstreams[stage.addressing]
        pulls = options.pull and not force and stage.changed(options.allow_missing, upstreams)
        why = tuple(changes(stage)) if pulls else ()
        try:
            if not stage.reproduce(upstream=upstreams, force=force, **given):
                return Prepared(Outcome.PULLED, why) if pulls else Prepared(Outcome.UNCHANGED)
        except MissingDataSource as error:
            raise NothingThere(stage, [out for out in stage.outs if not out.exists]) from error
        self._lockfiles.record(stage)
        return Prepared(Outcome.SAVED, (), self._outputs(stage))

    def _pull(self, stage: Any) -> bool:
        with suppress(CheckoutError):
            self.repo.pull(stage.addressing)
            stage.checkout()
            return True
        return False

    def _check_deps(self, stage: Any, force: bool) -> None:
        for dep in filter(is_file, stage.deps):
            if not dep.exists and not force:
                raise NotThere(stage.addressing, str(dep), maker(self.repo, dep.fs_path))
            if dep.fs_path in self._sources and signature(dep.fs_path) != self._sources[dep.fs_path]:
                self._tell_once(changed_meanwhile(stage.addressing, str(dep)))

    def _tell_once(self, text: str) -> None:
        if text not in self._told:  # a stage may be prepared several times
            self._told.add(text)
            self._say(text)

    def _commands(self, stage: Any) -> Commands:
        """What the stage executes, as DVC would."""
        shell, lines, kwargs = get_executable(), _enforce_cmd_list(stage.cmd), prepare_kwargs(stage)
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

    def finish(self, address: str, reply: Reply | None = None) -> dict[str, str]:
        """Hash, cache and record what the stage's commands made; its outputs, path → hash.

        With `reply` another host ran them, and this cache holds the outputs by now: they are put in their places.

        Raises:
            Unclear: a dependency changed while the stage ran; nothing is recorded.
            DvcException: what DVC tells, of an output that was not made for one.
        """
        stage = self._stages[address]
        with self._locks.held(), self._hashes.moment(self._own(stage)):
            self._locks.release(stage)
            look_again(self.repo)  # the command may have written a .dvcignore
            if reply:
                _remove_outs(stage)
                unfold(stage, reply)
            self._record(stage)
            return self._outputs(stage)

    def check_travels(self, addresses: Iterable[str]) -> None:
        """Look for what keeps these stages from other hosts, as far as it can be known before anything has run.

        Raises:
            UserError: something does.
        """
        _top(self.repo)
        stages = [self._stages[address] for address in addresses]
        check(self.repo, [stage for stage in stages if stage.cmd and not stage.frozen])

    def _packed(self, stage: Any) -> Any:
        outs = {out.fs_path: out for out in self.repo.index.outs}
        outs |= {out.fs_path: out for planned in self._stages.values() for out in planned.outs}
        return pack(self.repo, stage, outs.values())

    def _record(self, stage: Any, restored: bool = False) -> None:
        options = self.options
        self._lockfiles.listen()
        if isinstance(stage, PipelineStage):  # whose MD5 DVC computes, and never reads
            stage.save_deps(allow_missing=options.allow_missing)
            stage.save_outs(allow_missing=options.allow_missing)
        else:
            stage.save(allow_missing=options.allow_missing, run_cache=False)
        for changed in [] if restored else self._read[stage.addressing].changed(stage):
            raise Unclear(stage.addressing, str(changed), newest(self.repo, changed))
        cached = not options.no_commit and all(out.use_cache or out.is_metric or out.is_plot for out in stage.outs)
        taken = cached and runs.takes(stage)
        restorable = taken and options.run_cache
        if taken and not (restored and runs.knows(stage)):
            runs.save(stage)
            restorable = restorable and runs.recorded(stage)
        if not options.no_commit:
            stage.commit(allow_missing=options.allow_missing)
        self._lockfiles.record(stage, restorable)

    def forecast(self, address: str, coming: Mapping[str, Any], force: bool = False) -> Foreseen:
        """What the stage would come to, given what will lie at the paths in `coming`; changes nothing.

        Raises:
            UserError: DVC cannot look at it.
        """
        stage, upstreams = self._stages[address], self._upstreams[address]
        with self._locks.held(), self._hashes.moment(), refused():
            seen = Outlook(stage, self.options, upstreams, coming, force, self._records, self._made).foreseen()
            if seen.outcome is Outcome.RUN and seen.certain and not settings(stage.meta, address).pool:
                try:
                    self._check_program(self._commands(stage))
                except UserError as error:  # one that a stage before it may make
                    gone = {out.fs_path: Coming.GONE for out in stage.outs if not out.persist}
                    seen = replace(seen, outcome=Outcome.FAILED, error=error, why=(), coming=gone)
        if seen.outcome is Outcome.RUN:
            seen = replace(seen, cwd=str(stage.wdir))
        if seen.outcome in (Outcome.RUN, Outcome.SAVED, Outcome.PULLED):
            self._made |= {out.hash_info.value for out in stage.outs if out.hash_info}
        return seen

    def hold(self, address: str, pid: int) -> None:
        """Have the stage's paths be busy as long as process `pid` lives."""
        self._locks.hold(self._stages[address], pid)

    def release(self, address: str) -> None:
        """Give the stage's paths back, if it has them; whoever waits for what it made may look."""
        try:
            self._locks.release(self._stages[address])
        finally:
            self._end_of_twin(address)

    def settle(self, address: str) -> dict[str, Exception]:
        """Nothing more is to come of the stage; those that could not be written to dvc.lock, and why."""
        return self._lockfiles.settle(address)

    def close(self, failed: bool, complete: bool) -> dict[str, Exception]:
        """Write what is recorded and not written yet; those that could not be written to dvc.lock, and why."""
        return self._lockfiles.close(failed, stage_files=complete)

    def _own(self, stage: Any) -> frozenset[str]:
        """The paths that the stage writes."""
        return frozenset(out.fs_path for out in stage.outs)

    def recorded(self, address: str) -> Recorded:
        """What is known of the stage by now, without looking at a file."""
        stage = self._stages[address]
        reads, values = dict[str, str](), dict[str, Any]()
        for dep in stage.deps:
            if isinstance(dep, ParamsDependency):
                before = "" if dep.def_path == dep.DEFAULT_PARAMS_FILE else f"{dep.def_path}:"
                values |= {f"{before}{name}": value for name, value in (dep.hash_info.value or {}).items()}
            elif getattr(dep, "hash_info", None):  # a database has none
                reads[str(dep)] = str(dep.hash_info.value)
        outputs = tuple(_output(out) for out in stage.outs if out.hash_info)
        return Recorded(reads, values, outputs)

    def _outputs(self, stage: Any) -> dict[str, str]:
        """The stage's outputs as last recorded, path → hash."""
        return {str(out): str(out.hash_info.value) for out in stage.outs if out.hash_info}


def _output(out: Any) -> Output:
    kind = "metric" if out.metric else "plot" if out.plot else "output"
    drawn = out.plot if isinstance(out.plot, dict) else {}
    return Output(str(out), str(out.hash_info.value), kind, out.meta.size, out.meta.nfiles, drawn)


def _remove_outs(stage: Any) -> None:
    stage.remove_outs(ignore_remove=False, force=False)


def _top(repo: Any) -> Path:
    if repo.config["core"].get("no_scm", False):
        raise UserError("a stage travels to another host by git, which this repository does not use")
    return Path(repo.scm.root_dir)
