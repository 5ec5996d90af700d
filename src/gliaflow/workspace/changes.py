"""What changed of what a stage reads: why DVC would run it, and what must not change while it runs."""

import os
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.dependency.param import BadParamFileError
from dvc.exceptions import DownloadError, DvcException
from dvc.stage import PipelineStage

from gliaflow.core.explain import ABSENT
from gliaflow.core.options import Options
from gliaflow.core.ports import Coming, Foreseen, Missing, NotMade
from gliaflow.core.report import Change, Outcome
from gliaflow.errors import BadInput
from gliaflow.lockfiles.recorder import has_entry
from gliaflow.store import runs
from gliaflow.words.errors import in_words, words
from gliaflow.workspace.plan import is_file, maker

Signature = tuple[int, int, int]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def changes(stage: Any, coming: Mapping[str, Any] = NOTHING) -> list[Change]:
    """What makes the stage run, given what will lie at the paths in `coming`.

    Like DVC it looks at outputs only if nothing else changed; what cannot be looked at is left out, and what nobody
    knows yet.
    """
    if stage.cmd and not stage.frozen and (stage.is_callback or stage.always_changed):
        return [Change("always", "it runs every time")]
    if not has_entry(stage):
        return [Change("new", "it is in no dvc.lock yet")]
    edited = "its command changed" if isinstance(stage, PipelineStage) else f"{stage.relpath} changed"
    found = [Change("command", edited)] if stage.changed_stage() else []
    for dep in [] if stage.frozen else stage.deps:
        with suppress(OSError, DvcException):
            try:
                found += _of_dependency(dep, coming)
            except BadParamFileError as error:  # the stage will not run until somebody repairs the file
                raise BadInput(in_words(error)) from error
    return found or _of_outputs(stage)


def _of_outputs(stage: Any) -> list[Change]:
    found = []
    for out in stage.outs:
        with suppress(OSError, DvcException):
            found += [Change("output", name, new=_state(out, state)) for name, state in out.status().items()]
    lost = any(one.new == "not in cache" for one in found)
    if (
        lost
        and stage.cmd
        and not stage.frozen
        and not any(out.exists for out in stage.outs if out.use_cache)
        and not runs.knows(stage)
    ):
        return [Change("first", "never run here")]  # dvc.lock came from another machine, and nothing else did
    return found


def _of_dependency(dep: Any, coming: Mapping[str, Any]) -> list[Change]:
    then = at(dep, coming)
    if then is Coming.GONE:
        return [Change("dependency", str(dep), new="deleted")]
    if isinstance(dep, ParamsDependency):
        if then:
            return []
        old, new = dep.hash_info.value or {}, dep.read_params()
        names = dict.fromkeys([*dep.params, *old]) if dep.params else dict.fromkeys([*old, *new])
        both = ((name, old.get(name, ABSENT), _as_recorded(new.get(name, ABSENT))) for name in names)
        # One that is nowhere is a change as well: DVC fails for it.
        return [Change("parameter", *one) for one in both if one[1] != one[2] or one[2] is ABSENT]
    if then is Coming.OPEN:
        return []
    if then:
        return [Change("dependency", str(dep), new=_state(dep, "modified"))] if dep.hash_info != then[0] else []
    return [Change("dependency", name, new=_state(dep, state)) for name, state in (dep.status() or {}).items()]


def _state(one: Any, state: str) -> str:
    """What DVC says of a dependency or output, but for one that dvc.lock does not know: to DVC that is modified."""
    return "new" if state == "modified" and not one.hash_info else state


class Outlook:
    """What a run would come to of a stage, in the order in which `Workspace.prepare` looks at it.

    `coming` is what will lie at paths where another stage writes before; `made` are the hashes of objects that the
    cache will hold by then, if stages make what dvc.lock says.
    """

    def __init__(
        self,
        stage: Any,
        options: Options,
        upstreams: list[Any],
        coming: Mapping[str, Any],
        force: bool,
        records: runs.Records,
        made: Collection[str],
    ) -> None:
        self._stage, self._options, self._upstreams, self._coming = stage, options, upstreams, coming
        self._force, self._records, self._made = force, records, made
        self._changed = stage.changed(options.allow_missing, upstreams)
        self._read = [] if stage.frozen else stage.deps
        self._open = frozenset(path for dep in self._read for path in _open_at(dep, coming))
        self._recorded = {out.fs_path: (out.hash_info, out.meta) for out in stage.outs}
        self._all = tuple(changes(stage, coming))
        """What makes it run if nothing that is missing is excused."""

    def foreseen(self) -> Foreseen:
        """What the stage would come to."""
        found = self._of_data() if self._stage.frozen or not self._stage.cmd else self._of_command()
        return replace(found, changed=self._changed)

    def _of_data(self) -> Foreseen:
        """A stage without a command, or a frozen one: no command runs, but what it holds must be there."""
        stage, why = self._stage, self._why(self._options.allow_missing)
        if not why and not self._open:
            return self._seen(Outcome.UNCHANGED)
        if not self._force and self._options.pull and not self._why(True) and (pulled := self._pulled()):
            return pulled
        if stage.is_partial_import or (stage.is_import and not stage.frozen):
            kept = not self._force and not self._open and stage.already_cached()
            return self._seen(Outcome.SAVED, why, self._recorded if kept else Coming.OPEN)
        if lost := [out for out in stage.outs if not out.exists]:
            return self._seen(Outcome.FAILED, error=NothingThere(stage, lost))
        return self._seen(Outcome.SAVED, why)

    def _of_command(self) -> Foreseen:
        """A stage whose command runs if something changed."""
        why, pull = self._why(self._options.allow_missing), self._options.pull and not self._force
        if not why and not self._open:
            return self._seen(Outcome.UNCHANGED)
        if pull and not self._open and not self._why(True) and (pulled := self._pulled()):
            return pulled
        lack, by_itself = self._lack()
        if lack and why and not (pull and self._has_remote() and by_itself):
            return self._seen(Outcome.FAILED, error=lack, coming=Coming.GONE)
        if self._force:
            return self._seen(Outcome.RUN, why, Coming.OPEN)
        certain = not lack and not (pull and self._has_remote() and runs.may_take(self._stage))
        same = not self._stage.changed_stage() and all(one.what in ("output", "first") for one in self._all)
        if not self._open and not lack:
            if pull and (error := self._no_remote(same)):
                return self._seen(Outcome.FAILED, error=error, coming=Coming.GONE, certain=not self._cured(()))
            if outputs := runs.foreseen(self._stage, self._coming, same, self._options.run_cache):
                return self._seen(Outcome.RESTORED, why, outputs)
        elif pull and runs.may_take(self._stage):
            certain = False
        if certain and why and (self._open or self._made):
            may = self._records.may_give(self._stage, self._known(), same, self._options.run_cache, self._made)
            certain = not may and not self._cured(why)
        return self._seen(Outcome.RUN, why, Coming.OPEN, certain=certain and bool(why))

    def _seen(
        self,
        outcome: Outcome,
        why: Iterable[Change] = (),
        coming: Any = NOTHING,
        *,
        certain: bool = True,
        error: Exception | None = None,
    ) -> Foreseen:
        removed = (out.fs_path for out in self._stage.outs if coming is not Coming.GONE or not out.persist)
        then = dict.fromkeys(removed, coming) if isinstance(coming, Coming) else dict(coming)
        return Foreseen(True, outcome, certain, tuple(why), error, self._open, coming=then)

    def _why(self, excused: bool) -> tuple[Change, ...]:
        """What makes it run; data that is missing may be `excused`, as by --allow-missing."""
        if self._force:
            gone = (dep for dep in filter(is_file, self._read) if self._gone(dep))
            return (Change("force", "forced"), *(Change("dependency", str(dep), new="deleted") for dep in gone))
        if not excused or not self._all:
            return self._all
        names = self._missing_names()
        outputs = all(one.name in names or one.what == "output" for one in self._all)
        left = [one for one in self._all if one.name not in names and one.what not in ("output", "first")]
        later = _of_outputs(self._stage) if outputs else []
        return (*left, *(one for one in later if one.what == "output" and one.new not in ("not in cache", "deleted")))

    def _missing_names(self) -> set[str]:
        """What of the stage's dependencies is missing and no reason to run, if that is excused."""
        now = {out.fs_path: out.hash_info for upstream in self._upstreams for out in upstream.outs}
        found: set[str] = set()
        for dep in self._read:
            if not _is_local(dep) or not self._gone(dep):
                continue
            if isinstance(dep, ParamsDependency):
                found |= {*dep.params, *(dep.hash_info.value or {})}
            elif now.get(dep.fs_path, dep.hash_info) == dep.hash_info:
                found.add(str(dep))
        return found

    def _gone(self, dep: Any) -> bool:
        then = at(dep, self._coming)
        return then is Coming.GONE or (then is None and not dep.exists)

    def _lack(self) -> tuple[Exception | None, bool]:
        """What the stage would fail with before its command runs; and whether a remote may have what is missing."""
        for dep in [] if self._force else filter(is_file, self._read):
            if self._gone(dep):
                known = maker(self._stage.repo, dep.fs_path)
                return NotThere(self._stage.addressing, str(dep), known), known is not None
        for dep in self._read:
            if isinstance(dep, ParamsDependency) and at(dep, self._coming) is None:
                try:
                    if dep.exists or not self._force:
                        dep.get_hash()
                    if not dep.exists and not self._force:
                        raise dep.DoesNotExistError(dep)
                except DvcException as error:
                    return BadInput(in_words(error)), False
        return None, False

    def _no_remote(self, same: bool) -> Exception | None:
        """The error of --pull where no remote is configured: DVC asks it even for what the cache holds."""
        if not self._has_remote() and runs.entry_for(self._stage, self._coming, same, self._options.run_cache):
            try:
                self._stage.repo.cloud.get_remote()
            except DvcException as error:
                return BadInput(in_words(error))
        return None

    def _pulled(self) -> Foreseen | None:
        """The stage as --pull leaves it; None if nothing can be pulled."""
        kept = [out for out in self._stage.outs if out.use_cache]  # DVC pulls no others, and misses none of them
        here = not any(out.changed_cache() for out in kept)
        if not here and not self._has_remote() and not self._cured(()):
            unsaved = next((out for out in kept if out.exists and out.changed_cache()), None)
            if unsaved is None:
                return None
            error = BadInput(f"no remote is configured, and --pull replaces '{unsaved}', which no cache holds")
            return self._seen(Outcome.FAILED, error=error, certain=False)
        return self._seen(Outcome.PULLED, self._all, self._recorded, certain=here)

    def _has_remote(self) -> bool:
        return bool(self._stage.repo.config["core"].get("remote")) or any(out.remote for out in self._stage.outs)

    def _known(self) -> dict[str, Any]:
        """The hashes of the dependencies that are known by now, by path."""
        found = {}
        for dep in filter(is_file, self._read):
            then = at(dep, self._coming)
            with suppress(OSError, DvcException):
                if then is None and dep.exists:
                    found[dep.fs_path] = dep.get_hash()
                elif then and not isinstance(then, Coming):
                    found[dep.fs_path] = then[0]
        return found

    def _cured(self, why: Iterable[Change]) -> bool:
        """Whether all that makes it run may be over when other stages have put their objects into the cache."""
        lost = all(one.what == "first" or one.new == "not in cache" for one in why)
        return lost and any(out.hash_info and out.hash_info.value in self._made for out in self._stage.outs)


def _open_at(dep: Any, coming: Mapping[str, Any]) -> list[str]:
    """The paths in `coming` that make a dependency unknown."""
    if at(dep, coming) is not Coming.OPEN:
        return []
    path = Path(dep.fs_path)
    return [one for one in coming if one == dep.fs_path or Path(one) in path.parents or path in Path(one).parents]


def _is_local(dep: Any) -> bool:
    return bool(dep.fs) and dep.protocol == "local"


def at(dep: Any, coming: Mapping[str, Any]) -> Any:
    """What will lie at a dependency: hash and size, or a `Coming`; None where it is what lies there now.

    Of a part of what is to come, and of a folder around it, nothing is known.
    """
    if not coming or not _is_local(dep):
        return None
    path = Path(dep.fs_path)
    if dep.fs_path in coming:
        found = coming[dep.fs_path]
        return Coming.OPEN if isinstance(dep, ParamsDependency) and found is not Coming.GONE else found
    above = [coming[str(one)] for one in path.parents if str(one) in coming]
    if above:
        return above[0] if above[0] is Coming.GONE else Coming.OPEN
    return Coming.OPEN if any(path in Path(one).parents for one in coming) else None


def _as_recorded(value: Any) -> Any:
    """A tuple, which a parameter in a Python file may be, is a list in dvc.lock."""
    return list(value) if isinstance(value, tuple) else value


class NotThere(Missing):
    """A stage reads what is not there."""

    def __init__(self, address: str, path: str, maker: str | None) -> None:
        declared = f"; '{maker}', which makes it, did not: run that, or get it by `dvc checkout` or `dvc pull`"
        undeclared = (
            " and which no stage declares as an output: list it under the outs of the stage that makes it, or put it "
            "there"
        )
        super().__init__(f"stage '{address}' reads '{path}', which is not there{declared if maker else undeclared}")


class NothingThere(NotMade):
    """What was added, imported or frozen is not in the workspace."""

    def __init__(self, stage: Any, lost: list[Any]) -> None:
        names = ", ".join(map(str, lost))
        super().__init__(f"missing; {self._advice(stage, lost)}{f' ({names})' if len(stage.outs) > 1 else ''}")

    @staticmethod
    def _advice(stage: Any, lost: list[Any]) -> str:
        if not all(out.use_cache for out in lost):
            return "no cache keeps it: get it from git, or make it"
        if not all(out.hash_info for out in lost):
            return "no dvc.lock knows it: unfreeze the stage to make it" if stage.cmd else "nothing is recorded of it"
        if stage.outs_cached():
            return "`dvc checkout` or `--pull` puts it back"
        return "`dvc pull` or `--pull` fetches it"


class Declined(DvcException):  # type: ignore[misc]
    """The person who was asked wants no run."""


@contextmanager
def refused() -> Iterator[None]:
    """Raise BadInput where DVC finds that a stage cannot run as it stands; DVC's own error is the cause."""
    try:
        yield
    except (Declined, DownloadError):  # nothing that the user must change
        raise
    except Exception as error:
        if told := words(error):
            raise BadInput(told) from error
        raise


class Unclear(BadInput):
    """Nobody knows what a stage read."""

    def __init__(self, address: str, path: str, newest: str) -> None:
        super().__init__(
            f"stage '{address}': '{path}'{newest} changed while it ran, so nobody knows which of the two it read; "
            "nothing was recorded: run it again"
        )


def changed_meanwhile(address: str, path: str) -> str:
    """The warning about a source that something wrote after the run began."""
    return (
        f"'{path}', which stage '{address}' reads, changed since this run began: if a stage makes it, list it under "
        "the outs of that stage, or the two may run side by side"
    )


def signature(path: str) -> Signature | None:
    """What changes when a file is written; None if it is not there."""
    with suppress(OSError):
        found = Path(path).stat()
        return found.st_mtime_ns, found.st_size, found.st_ino
    return None


def newest(repo: Any, dep: Any) -> str:
    """Of a folder that changed: which file in it was the last to, in brackets; of all else nothing."""
    if not is_file(dep) or not Path(dep.fs_path).is_dir():
        return ""
    files = repo.dvcignore.find(dep.fs, dep.fs_path)
    found = max(files, key=lambda path: Path(path).lstat().st_mtime_ns, default=None)
    if found is None:
        return " (which is empty now)"
    hint = ", which .dvcignore could list" if "__pycache__" in found else ""
    return f" (its newest file is '{os.path.relpath(found)}'{hint})"
