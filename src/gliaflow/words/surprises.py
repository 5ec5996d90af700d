"""What Python raises where DVC stumbles over a value in the user's files: an error without a word about the file.

Such an error is no bug of ours if DVC was reading or weighing what the files hold, and called nothing of ours from
there. The frames of its traceback tell which file and which stage that was.
"""

import linecache
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import date, time
from types import FrameType
from typing import Any

from dvc.dependency import ParamsDependency
from dvc.dvcfile import FileMixin
from dvc.exceptions import DvcException
from dvc.output import Output
from dvc.parsing import DataResolver, EntryDefinition, ForeachDefinition, MatrixDefinition
from dvc.stage import Stage
from dvc.stage.loader import StageLoader
from dvc.utils import relpath

from gliaflow.errors import one_line, told
from gliaflow.words.places import content, keys_of, line_of_key, unreadable_value

READING = (
    "dvc.config", "dvc.dependency", "dvc.dvcfile", "dvc.fs", "dvc.output", "dvc.parsing", "dvc.repo.index",
    "dvc.stage", "dvc.utils.serialize", "dvc.utils.strictyaml",
)  # fmt: skip
LOCKS = ("dvc.lock", "dvc.rwlock")
PARSING = ("dvc.utils.serialize", "dvc.parsing", "dvc.utils.strictyaml")
UNSUPPORTED = re.compile(r"Unsupported value of type '(\w+)' in '(.*?):(.+)'$")
PYTHONS = (
    ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, RecursionError, TypeError, ValueError,
)  # fmt: skip
QUOTES = "write it in quotes"
DATES = ("date", "datetime", "time")
ASSERTED = re.compile(r"assert (\w+)$")


def surprise(error: Exception) -> str | None:
    """What the user is told of an error of Python that a value in their files causes; None of any other."""
    frames = list(_frames(error))
    ours = max((n for n, frame in enumerate(frames) if _module(frame).startswith("gliaflow.")), default=-1)
    theirs = frames[ours + 1 :]
    if not any(_within(frame, READING) for frame in theirs) or isinstance(error, DvcException):
        return None
    if isinstance(error, OSError) or type(error).__module__ != "builtins":
        return _of_a_source(error, frames)
    if not isinstance(error, PYTHONS) or any(_within(frame, LOCKS) for frame in theirs):
        return None
    return one_line(": ".join(part for part in (place(error), _reason(error, theirs)) if part))


def _group(error: BaseException) -> tuple[str, str]:
    """The file that DVC was reading as it raised the error, and the stage in it."""
    file = name = ""
    for frame in reversed(list(_frames(error))):
        found = _stage(frame.f_locals)
        name, file = name or found[0], file or found[1] or _path(frame)
    return file, name


def place(error: BaseException) -> str:
    """The file that DVC was reading as it raised the error, the stage in it, and the line where that begins."""
    file, name = _group(error)
    line = line_of_key(content(file), ["stages", name.rpartition(":")[2]]) if file and name else None
    named = f"stage '{name}'" if name and name != file else ""
    return ", ".join(part for part in (f"'{file}'" if file else "", named, f"line {line}" if line else "") if part)


def _frames(error: BaseException) -> Iterator[FrameType]:
    traceback = error.__traceback__
    while traceback:
        yield traceback.tb_frame
        traceback = traceback.tb_next


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _within(frame: FrameType, modules: tuple[str, ...]) -> bool:
    return any(_module(frame) == one or _module(frame).startswith(f"{one}.") for one in modules)


def _stage(inside: Mapping[str, Any]) -> tuple[str, str]:
    """The stage that a function of DVC works on, and its file."""
    for one in (inside.get("stage"), inside.get("self")):
        if isinstance(one, Stage):
            with suppress(AttributeError):  # it may not be complete yet
                return str(one.addressing), str(one.relpath)
        if isinstance(one, EntryDefinition | ForeachDefinition | MatrixDefinition):
            return str(one.name), str(one.relpath)
        if isinstance(one, DataResolver):
            name = inside.get("name")
            return name if isinstance(name, str) else "", str(one.relpath)
        if isinstance(one, StageLoader):
            key = inside.get("name")
            return key if isinstance(key, str) else "", str(one.dvcfile.relpath)
    return "", ""


def _path(frame: FrameType) -> str:
    """The file that a function of DVC reads."""
    one, path = frame.f_locals.get("self"), frame.f_locals.get("path")
    if isinstance(path, str) and _within(frame, PARSING):
        return str(relpath(path))
    return str(one.relpath) if isinstance(one, FileMixin) else ""


def _reason(error: Exception, frames: list[FrameType]) -> str:
    last = frames[-1]
    stage = next((one for frame in reversed(list(_frames(error))) if (one := _whole_stage(frame.f_locals))), None)
    if match := UNSUPPORTED.search(str(error)):
        return f"{error}{_origin(error, last.f_locals.get('value'), *match.groups())}"
    if isinstance(error, RecursionError):
        return f"{error}: an alias in it stands for what it lies in"
    if isinstance(error, ImportError):
        return told(error)
    if unfit := [*_unfit(stage, last.f_locals.get("cmd")), *_misplaced(frames)]:
        return "; ".join([*unfit, *([told(error)] if str(error) else [])])
    if isinstance(error, AssertionError) and not str(error):
        if _group(error)[1].endswith("@"):
            return "`foreach` or `matrix` has an item without a name"
        line = linecache.getline(last.f_code.co_filename, _last_line(error)).strip()
        found = ASSERTED.match(line)
        value = f": {found[1]} is {last.f_locals.get(found[1])!r}" if found else ""
        return f"DVC takes no such value (`{line}` in {_module(last)}){value}"
    if any(_within(frame, PARSING[:1]) for frame in frames) and (bad := unreadable_value(content(_read(frames)))):
        return f"{error}, line {bad[0]}: {bad[1]}"
    return f"{type(error).__name__}: {error}"


def _last_line(error: BaseException) -> int:
    traceback = error.__traceback__
    while traceback and traceback.tb_next:
        traceback = traceback.tb_next
    return traceback.tb_lineno if traceback else 0


def _whole_stage(inside: Mapping[str, Any]) -> Any:
    return next((one for one in (inside.get("stage"), inside.get("self")) if isinstance(one, Stage)), None)


def _read(frames: list[FrameType]) -> str:
    return next((path for frame in reversed(frames) if (path := _path(frame))), "")


def _origin(error: Exception, value: object, kind: str, source: str, key: str) -> str:
    """Where the value stands that no template takes, and what to write instead."""
    file, keys, named = source, keys_of(key), ""
    if source.startswith("<"):  # an item of a group
        file, name = _group(error)
        matrix = any(isinstance(frame.f_locals.get("self"), MatrixDefinition) for frame in _frames(error))
        kind_of_group = "matrix" if matrix else "foreach"
        keys, named = ["stages", name, kind_of_group], f", `{kind_of_group}`"
    elif source.rpartition(".")[2].startswith("vars["):  # of the whole dvc.yaml, or of the stage before the dot
        owner, _, own = source.rpartition(".")
        file, keys = _group(error)[0], [*(["stages", owner] if owner else []), *keys_of(own), *keys]
    line = line_of_key(content(file), keys)
    advice = f"write {value} in quotes" if kind in DATES else "a template takes text, numbers, lists and mappings"
    return f"{named}{f', line {line}' if line else ''}; {advice}"


def _unfit(stage: Any, command: object) -> Iterator[str]:
    """What of a stage is of a kind that DVC cannot run or record."""
    command = stage.cmd if stage is not None else command
    if command is not None and not isinstance(command, str | list):
        yield f"`cmd` is {command!r}, which is no text: {QUOTES}"
    for dep in stage.deps if stage is not None else ():
        if isinstance(dep, ParamsDependency):
            with suppress(Exception):
                for name, value in (dep.read_params() or {}).items():
                    if bad := next(_not_recorded(value), None):
                        line = line_of_key(content(dep.fs_path), keys_of(name))
                        advice = QUOTES if isinstance(bad[0], date | time) else "DVC records no such value"
                        at = f", line {line}" if line else ""
                        yield f"parameter '{name}' of '{dep}'{at} is or holds {bad[0]!s}: {advice}"


def _misplaced(frames: list[FrameType]) -> Iterator[str]:
    """What templates put in a stage where something of another kind has to be."""
    for inside in (frame.f_locals for frame in frames):
        if isinstance(inside.get("self"), MatrixDefinition) and isinstance(inside.get("iterable"), Mapping):
            for name, one in inside["iterable"].items():
                if not isinstance(one, Sequence):
                    yield f"`matrix` has for '{name}' the value {one}, which is no list"
        definition = inside.get("stage_data")  # as DVC's loader of stages calls it
        for kind in ("deps", "outs", "metrics", "plots"):
            for one in definition.get(kind) or () if isinstance(definition, Mapping) else ():
                if not one or not isinstance(one, str | Mapping):
                    yield f"`{kind}` holds {one!r}, which is no path"


def _not_recorded(value: object) -> Iterator[tuple[object]]:
    """The values, and keys, that JSON has no word for, by which DVC hashes parameters."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if not isinstance(key, str | int | float | bool | None):
                yield (key,)
            yield from _not_recorded(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _not_recorded(one)
    elif not isinstance(value, str | int | float | bool | None):
        yield (value,)


def _of_a_source(error: Exception, frames: list[FrameType]) -> str | None:
    """Of what DVC's libraries raise about a source or a target: which; they tell a list of paths at most.

    None of what may pass, as of a network, and of what the operating system names itself.
    """
    names = " ".join(cls.__name__ for cls in type(error).__mro__)
    if "Connection" in names or "Timeout" in names or getattr(error, "errno", None):
        return None
    ends = [one for frame in frames if isinstance(one := frame.f_locals.get("self"), Output)]  # Dependency is one
    known = f"'{ends[-1]}'{' is not there' if isinstance(error, FileNotFoundError) else ''}" if ends else place(error)
    return one_line(f"{known}: {told(error)}")
