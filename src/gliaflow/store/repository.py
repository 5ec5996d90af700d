"""DVC repositories, opened: quietly, with the working directory in them, and with what comes from a remote hashed."""

import logging
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

from dvc.exceptions import CyclicGraphError, DvcException, NotDvcRepoError
from dvc.repo import Repo
from dvc.stage.run import _make_cmd, get_executable
from dvc.utils.serialize import parse_yaml_for_update
from dvc.utils.strictyaml import YAMLSyntaxError, YAMLValidationError, determine_linecol
from ruamel.yaml.error import MarkedYAMLError

from gliaflow.errors import UserError, one_line

REPAIR = "`gliaflow push --verify` repairs it from a cache where it is whole"


@contextmanager
def opened(root: Path, say: Callable[[str], None] = print) -> Iterator[Any]:
    """Open the repository that the folder `root` lies in; yields a `dvc.repo.Repo`.

    Inside the block `root` is the working directory, since DVC takes paths from there. `say` is told which objects are
    damaged on a remote.

    Raises:
        UserError: there is no such folder or no repository, or DVC raises something inside the block.
    """
    if not root.is_dir():
        raise UserError(f"'{root}' is no folder: name one that lies in a DVC repository")
    try:
        with chdir(root), dvc_silent(), Repo() as repo:
            verify(repo, say)
            yield repo
    except DvcException as error:
        raise UserError(in_words(error)) from error


def in_words(error: DvcException) -> str:
    """All that DVC tells of an error, on one line: `dvc` prints the rest below its message."""
    parts = [str(error).strip(), *getattr(error, "__notes__", [])]
    if isinstance(error, NotDvcRepoError):
        parts.append("run `dvc init` there, or name another folder with --repo")
    elif isinstance(error, CyclicGraphError):
        parts[0] = f"the stages are a cycle: {parts[0]}"
    elif isinstance(error, YAMLValidationError):
        parts += [_of_validation(error, one) for one in error.exc.errors]
    elif isinstance(error, YAMLSyntaxError) and isinstance(cause := error.exc.__cause__, MarkedYAMLError):
        mark = cause.problem_mark or cause.context_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        parts.append(f"{cause.problem or cause.context}{place}{error.hint}")
    return one_line("; ".join(part.rstrip(".") for part in parts))


def _of_validation(error: YAMLValidationError, one: Any) -> str:
    line = determine_linecol(parse_yaml_for_update(error.text, error.path), one.path)[0] if one.path else None
    place = f" in {' -> '.join(map(str, one.path))}" if one.path else ""
    return f"{one.error_message}{place}{f', line {line}' if line else ''}"


@contextmanager
def dvc_silent() -> Iterator[None]:
    """Keep DVC from logging inside the block; gliaflow tells the user what matters."""
    loggers = [logging.getLogger(name) for name in ("dvc", "dvc_data", "dvc_objects")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def in_shell(line: str) -> list[str]:
    """The arguments of a process that runs a command line by the user's shell, as DVC runs those of stages."""
    return list(_make_cmd(get_executable(), line))


def verify(repo: Any, say: Callable[[str], None] = print) -> None:
    """Have DVC hash whatever comes from a remote, and tell which objects are damaged there.

    A host that was killed while it pushed may have left half a file, and disks lose bits. A second call for the same
    `repo` changes nothing.
    """
    cloud = repo.cloud
    if "get_remote" in vars(cloud):
        return  # done already
    get_remote = cloud.get_remote

    def verifying(*args: Any, **kwargs: Any) -> Any:
        found = get_remote(*args, **kwargs)
        found.config["verify"] = True  # not in repo.config: DVC reads that anew whenever it looks at a stage
        return found

    cloud.get_remote = verifying
    told = set()

    def tell(oid: str) -> None:
        if oid not in told:  # DVC tries more than once
            told.add(oid)
            say(f"object {oid} is damaged on the remote; {REPAIR}")

    for cache in (repo.cache.local, repo.cache.legacy):
        _tell_damaged(cache, tell)


def _tell_damaged(cache: Any, tell: Callable[[str], None]) -> None:
    """Call `tell` with the hash of each object that comes damaged from a remote; DVC drops it without a word."""
    add = cache.add

    def told(path: Any, fs: Any, oid: Any, *args: Any, on_error: Any = None, **options: Any) -> Any:
        failed = set()

        def note(one: str, error: BaseException) -> None:
            failed.add(one)
            on_error(one, error)

        count = add(path, fs, oid, *args, on_error=on_error and note, **options)
        oids = [oid] if isinstance(oid, str) else oid
        for one in oids if options.get("verify") else []:
            if one not in failed and not cache.exists(one):
                tell(one)
        return count

    cache.add = told
