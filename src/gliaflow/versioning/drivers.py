"""Commands of the project that compare what a stage made in two versions, as git calls an external diff driver.

A stage of dvc.yaml says `meta: {diff: COMMAND}`. The command gets two more arguments: a folder with the stage's outputs
of the older version, and one with those of the newer. An output has the path that it has from the root of the DVC
repository. The files are links into the cache, to be read only. The command runs by the user's shell in that root.
Exit code 1 with nothing on standard error says that files differ, as of `diff`; every other but 0 is a failure.
"""

import shlex
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from gliaflow.core.settings import settings
from gliaflow.errors import BadInput, one_line
from gliaflow.store.files import reason
from gliaflow.store.repository import in_shell
from gliaflow.versioning.fetching import fetch
from gliaflow.versioning.outputs import outputs_of
from gliaflow.versioning.versions import Version


@dataclass(frozen=True)
class Stage:
    """A stage of a version."""

    meta: Any
    """What dvc.yaml says under `meta:`."""
    outputs: frozenset[str]
    """The paths of its outputs that are in the version."""


def run_drivers(
    repo: Any, old: Version, new: Version, differing: Collection[str], remote: str | None
) -> dict[str, tuple[str, ...]]:
    """What the commands say, in lines, by stage.

    Stages and commands are those of the version `new`. A stage's command runs if an output of the stage, in either
    version, is among the paths `differing`. Only the outputs of such stages are fetched. A command that fails is one
    line.

    Raises:
        UserError: an object is damaged or missing here and on the remote.
        TransientError: the remote cannot be reached.
    """
    before, printed = _stages(repo, old), dict[str, tuple[str, ...]]()
    for address, stage in _stages(repo, new).items():
        paths = stage.outputs | (before[address].outputs if address in before else frozenset())
        if paths.isdisjoint(differing):
            continue
        try:
            command = settings(stage.meta, f"stage '{address}'").diff
        except BadInput as error:
            printed[address] = (str(error),)
            continue
        if command:
            printed[address] = _run(repo, command, (old, new), paths, remote)
    return printed


def _stages(repo: Any, version: Version) -> dict[str, Stage]:
    """The stages of a version by their addresses from the root of the repository."""
    found = {}
    with repo.switch(version.commit):
        for stage in repo.index.stages:
            paths = {str(repo.fs.relpath(out.fs_path, repo.root_dir)) for out in stage.outs if out.is_in_repo}
            file, name = stage.path_in_repo, getattr(stage, "name", None)
            address = file if name is None else name if file == "dvc.yaml" else f"{file}:{name}"
            found[address] = Stage(stage.meta, frozenset(paths & version.outputs.keys()))
    return found


def _run(
    repo: Any, command: str, versions: tuple[Version, Version], paths: Collection[str], remote: str | None
) -> tuple[str, ...]:
    with TemporaryDirectory(prefix="gliaflow-diff-") as scratch:
        folders = [Path(scratch, side) for side in ("old", "new")]
        for version, folder in zip(versions, folders, strict=True):
            folder.mkdir()
            _lay_out(repo, version, paths, remote, folder)
        return tuple(_ask(command, folders, repo.root_dir))


def _lay_out(repo: Any, version: Version, paths: Collection[str], remote: str | None, folder: Path) -> None:
    """Show the outputs of the version that lie at these paths below `folder`."""
    wanted = version.outputs.keys() & set(paths)
    found = outputs_of(repo, version.commit, wanted) if wanted else []
    fetch(repo, found, remote)
    for output in found:
        output.link(folder / output.path)


def _ask(command: str, folders: list[Path], root: str) -> list[str]:
    """The lines that the command prints about two folders, or one line that says how it failed."""
    command = command.strip()  # behind a line break the folders would be a command of their own
    line = " ".join([command, *(shlex.quote(str(folder)) for folder in folders)])
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "errors": "replace"}
    try:
        ended = subprocess.run(in_shell(line), cwd=root, check=False, **pipes)
    except OSError as error:
        return [f"`{command}` did not start: {reason(error)}"]
    lines = [text.rstrip() for text in ended.stdout.splitlines()]
    found = ended.returncode == 1 and lines and not ended.stderr.strip()  # so `diff` and `cmp` say that files differ
    if found or not ended.returncode:
        return lines
    code = ended.returncode if ended.returncode > 0 else 128 - ended.returncode  # as a shell counts signals
    last = next((text for text in reversed([*lines, *ended.stderr.splitlines()]) if text.strip()), "it printed nothing")
    return [one_line(f"`{command}` failed with exit code {code}: {last}")]
