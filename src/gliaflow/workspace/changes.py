"""What changed of what a stage reads: why DVC would run it, and what must not change while it runs."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.exceptions import DownloadError, DvcException

from gliaflow.core.explain import ABSENT
from gliaflow.core.ports import Missing
from gliaflow.core.report import Change
from gliaflow.errors import BadInput
from gliaflow.store.repository import in_words
from gliaflow.workspace.lockfile import has_entry
from gliaflow.workspace.plan import is_file

Signature = tuple[int, int, int]
NOTHING: Mapping[str, Any] = MappingProxyType({})


def changes(stage: Any, coming: Mapping[str, Any] = NOTHING) -> list[Change]:
    """What makes the stage run, given what dependencies at the paths in `coming` will be.

    Like DVC it looks at outputs only if nothing else changed; what cannot be looked at is left out.
    """
    if stage.cmd and (stage.is_callback or stage.always_changed):
        return [Change("always", "it runs every time")]
    if not has_entry(stage):
        return [Change("new", "it is in no dvc.lock yet")]
    found = [Change("command", "its command changed")] if stage.changed_stage() else []
    for dep in [] if stage.frozen else stage.deps:
        with suppress(OSError, DvcException):
            found += _of_dependency(dep, coming)
    for out in [] if found else stage.outs:
        with suppress(OSError, DvcException):
            found += [Change("output", name, new=state) for name, state in out.status().items()]
    return found


def _of_dependency(dep: Any, coming: Mapping[str, Any]) -> list[Change]:
    if isinstance(dep, ParamsDependency):
        old, new = dep.hash_info.value or {}, dep.read_params()
        names = dict.fromkeys([*dep.params, *old]) if dep.params else dict.fromkeys([*old, *new])
        both = ((name, old.get(name, ABSENT), _as_recorded(new.get(name, ABSENT))) for name in names)
        # One that is nowhere is a change as well: DVC fails for it.
        return [Change("parameter", *one) for one in both if one[1] != one[2] or one[2] is ABSENT]
    if dep.fs_path in coming:
        changed = dep.hash_info != coming[dep.fs_path][0]
        return [Change("dependency", str(dep), new="modified")] if changed else []
    return [Change("dependency", name, new=state) for name, state in dep.status().items()]


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


class Declined(DvcException):  # type: ignore[misc]
    """The person who was asked wants no run."""


@contextmanager
def refused() -> Iterator[None]:
    """Raise BadInput where DVC finds that a stage cannot run as it stands; DVC's own error is the cause."""
    try:
        yield
    except (Declined, DownloadError):  # nothing that the user must change
        raise
    except DvcException as error:
        raise BadInput(in_words(error)) from error


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
