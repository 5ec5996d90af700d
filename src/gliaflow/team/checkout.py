"""Workspaces of a worker's host: one for each run at a time, on one DVC cache, each at the very commit asked for."""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from gliaflow.errors import UserError
from gliaflow.machine.git import git
from gliaflow.machine.retry import retry

FOLDER = "GLIAFLOW_WORKSPACES"  # names the folder that they are kept in
WANTED = "refs/gliaflow/wanted"
KEPT = (".state", ".dvc/config.local", ".dvc/tmp")  # from the run before, .state for a training that was killed
CONFIG = """\
[core]
    site_cache_dir = {home}/site
[cache]
    dir = {home}/cache
"""


@contextmanager
def checked_out(repository: str, rev: str, commit: str | None = None, dvc_root: str = ".") -> Iterator[Path]:
    """A folder with the commit that `rev` names in `repository`, nobody else's until the end, with nothing beside it.

    `dvc_root` is where `.dvc` lies in it. The first workspace that is free is taken, so that a training that goes on
    finds its state.

    Raises:
        UserError: `repository` or `rev` cannot be had, or is not the `commit` that it should be.
    """
    base = Path(os.environ.get(FOLDER) or Path.home() / ".cache/gliaflow/workspaces")
    home = base / hashlib.sha256(repository.encode()).hexdigest()[:16]
    home.mkdir(parents=True, exist_ok=True)
    for number in count():
        with (home / f"{number}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            root = home / str(number)
            try:
                _switch(root, repository, rev, dvc_root)
            except UserError:  # of a repository that a kill left broken, or of what is not there
                shutil.rmtree(root / ".git", ignore_errors=True)  # and not what a training goes on from
                _switch(root, repository, rev, dvc_root)
            found = git(root, "rev-parse", "HEAD").stdout.strip()
            if commit not in (None, found):
                raise UserError(f"{rev} is {found[:12]} in {repository}, not {str(commit)[:12]}")
            _configure(root / dvc_root, home)
            yield root
            return


def _switch(root: Path, repository: str, rev: str, dvc_root: str) -> None:
    if not (root / ".git/HEAD").exists():
        root.mkdir(exist_ok=True)
        git(root, "init", "--quiet")
        git(root, "remote", "add", "origin", repository)
    for stale in (root / ".git").rglob("*.lock"):  # of one that was killed: nobody else is in here
        stale.unlink()
    # All as it is there: a name that was withdrawn is free again, as a tag and as the folder of a branch.
    everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    fetch = ["fetch", "--quiet", "--force", "--prune", "origin", *everything, f"+{rev}:{WANTED}"]
    retry(lambda: git(root, *fetch, far=True))
    git(root, "checkout", "--quiet", "--force", "--detach", WANTED)
    git(root, "clean", "-ffdxq", *(f"--exclude=/{Path(dvc_root, path)}" for path in KEPT))


def _configure(root: Path, home: Path) -> None:
    path = root / ".dvc/config.local"
    if not path.parent.is_dir():
        raise UserError(f"{root.name}: there is no DVC repository in this commit")
    path.write_text(CONFIG.format(home=home))
