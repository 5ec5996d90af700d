"""What the Python programs of stages import without declaring it; the missing lines, if they are wanted."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from dvc.utils.collections import ensure_list

from gliaflow.audit.commands import started
from gliaflow.audit.declared import Declared, Files
from gliaflow.audit.imports import Imports, has_code
from gliaflow.audit.insert import Deps, edited, replace
from gliaflow.errors import UserError

ITEM = "@"  # between the name of a stage and the item of its matrix


def undeclared(repo: Any, targets: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """By stage, the files that it imports and does not declare, as one writes them in the folder of the run.

    Raises:
        DvcException: what DVC says of a broken dvc.yaml or an unknown target.
    """
    return _told(_missing(repo, targets))


def declare(repo: Any, targets: Iterable[str] = ()) -> dict[str, tuple[str, ...]]:
    """As `undeclared`, and write what is missing into each dvc.yaml; nothing is written if one cannot be.

    Raises:
        UserError: the lines cannot be put into a dvc.yaml without changing more of it; it says where.
        DvcException: what DVC says of a broken dvc.yaml or an unknown target.
    """
    found = list(_missing(repo, targets))
    wanted: dict[Path, Deps] = {}
    for stage, paths in found:
        lines = wanted.setdefault(Path(stage.path), {}).setdefault(_definition(stage), {})
        lines |= dict.fromkeys(Path(os.path.relpath(path, stage.wdir)).as_posix() for path in paths)
    for stage in _stages(repo, []):
        lines = wanted.get(Path(stage.path), {}).get(_definition(stage), {})
        if any(not Path(stage.wdir, line).is_file() for line in lines):
            where = f"{os.path.relpath(stage.path)}: stage '{_definition(stage)}'"
            raise UserError(f"{where}: its items run in several folders; add by hand: {', '.join(lines)}")
    for path, data in [(path, edited(path, deps)) for path, deps in wanted.items()]:
        replace(path, data)
    return _told(found)


def _definition(stage: Any) -> str:
    """The name under which the stage stands in its file, with all items of its matrix."""
    return str(stage.name).split(ITEM)[0]


def _told(found: Iterable[tuple[Any, list[Path]]]) -> dict[str, tuple[str, ...]]:
    return {stage.addressing: tuple(map(os.path.relpath, paths)) for stage, paths in found}


def _missing(repo: Any, targets: Iterable[str]) -> Iterator[tuple[Any, list[Path]]]:
    files = Files(repo)
    imports = Imports(files.top)
    empty: dict[Path, bool] = {}
    for stage in _stages(repo, list(targets)):
        declared = Declared.of(stage)
        programs = started(ensure_list(stage.cmd), declared.folder).programs
        imported = {path for program in programs for path in imports.of(program)}
        missing = files.count(path for path in imported if not declared.covers(path))
        for path in missing:
            empty.setdefault(path, path.name == "__init__.py" and not has_code(path))
        if paths := [path for path in missing if not empty[path]]:
            yield stage, paths


def _stages(repo: Any, targets: list[str]) -> list[Any]:
    """The stages with commands that the targets name; all of the repository without any."""
    found = [one for target in targets for one in repo.stage.collect(target)] if targets else repo.index.stages
    return [stage for stage in dict.fromkeys(found) if stage.cmd]
