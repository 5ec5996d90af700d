"""The workspace of one experiment: git's files at the changes of the user, in a repository beside the user's own.

It borrows the objects of the user's repository and has its HEAD, so that a stage which asks git gets the same answer.
It has the user's DVC cache and nothing else of theirs: what an experiment does reaches nobody before it has ended.
"""

import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from dvc.config import Config, merge
from dvc.repo.experiments.refs import EXEC_BASELINE, EXEC_HEAD

from gliaflow.errors import UserError
from gliaflow.machine.git import git

RELATIVE = re.compile(r"\.{1,2}(/|$)|[^:/]+/|[^:]+$")  # an address that is a path, and begins nowhere
READY = "ready"  # the file that is there once a workspace is whole


class ExperimentWorkspace:
    """The workspace in the folder `home`, of the experiment that is known by its name there.

    `top` is the root of the user's git repository. The workspace is in a folder of the same name, which is what a run
    is called by.
    """

    def __init__(self, home: Path, top: Path) -> None:
        self._home, self._top = home, top
        self.root = home / "in" / top.name

    @property
    def ready(self) -> bool:
        """Whether it is whole: an earlier sweep, which was ended, may have left it so."""
        return (self._home / READY).exists()

    def make(self, baseline: str, tree: str) -> None:
        """Make it anew, with HEAD at the commit `baseline`, and the files of `tree`."""
        self.remove()
        self.root.mkdir(parents=True)
        git(self.root, "init", "--quiet")
        own = self.root / ".git"
        theirs = self._path("objects")
        (own / "objects/info").mkdir(exist_ok=True)
        (own / "objects/info/alternates").write_bytes(os.fsencode(theirs) + b"\n")
        if (shallow := self._path("shallow")).exists():
            shutil.copy(shallow, own / "shallow")
        self._take_config(own / "config")
        for ref in (EXEC_BASELINE, EXEC_HEAD):
            git(self.root, "update-ref", ref, baseline)
        git(self.root, "update-ref", "--no-deref", "HEAD", baseline)
        git(self.root, "-c", "submodule.recurse=false", "read-tree", "--reset", "-u", tree)
        self._forget_index(baseline, tree)

    def _forget_index(self, baseline: str, tree: str) -> None:
        """Have git see the user's changes as not staged, as `dvc exp run` does, but for files that it does not know."""
        git(self.root, "read-tree", baseline)
        line = ["diff-tree", "-r", "--name-only", "--no-renames", "--diff-filter=A", "-z", baseline, tree]
        if added := git(self.root, *line).stdout:
            git(self.root, "update-index", "--add", "-z", "--stdin", input=added)
        git(self.root, "update-index", "-q", "--refresh", check=False)

    def _path(self, name: str) -> Path:
        return Path(self._top, git(self._top, "rev-parse", "--git-path", name).stdout.rstrip("\n")).resolve()

    def _take_config(self, path: Path) -> None:
        """Take the settings of the user's repository, but for what says where it lies."""
        path.chmod(0o600)  # it may hold passwords
        shutil.copyfile(self._path("config"), path)
        for key in ("core.worktree", "core.bare"):
            git(self.root, "config", "--file", str(path), "--unset-all", key, check=False)
        for name in git(self.root, "remote").stdout.splitlines():
            url = git(self.root, "remote", "get-url", name).stdout.rstrip("\n")
            if RELATIVE.match(url):  # seen from the user's repository
                git(self.root, "remote", "set-url", name, str((self._top / url).resolve()))

    def configure(self, dvc_dir: str, cache: str) -> None:
        """Write DVC's settings of this machine, and where remotes are as seen from the user's repository.

        What DVC notes of files goes when the workspace goes. `dvc_dir` is where `.dvc` lies, from the root.

        Raises:
            UserError: no commit holds `.dvc`.
        """
        folder = self.root / dvc_dir
        if not folder.is_dir():
            raise UserError(f"'{dvc_dir}' is not in git, so no experiment has it: git add it first")
        (folder / "config.local").touch(0o600)  # it may hold passwords
        (folder / "config.local").chmod(0o600)
        theirs = Config(os.fspath(self._top / dvc_dir))
        with Config(os.fspath(folder)).edit("local") as own:
            merge(own, {"remote": theirs.load_one("repo")["remote"]})
            merge(own, theirs.load_one("local"))
            merge(own, {"cache": {"dir": cache}, "core": {"site_cache_dir": os.fspath(self._home / "site")}})

    def copy(self, paths: Iterable[str]) -> None:
        """Copy files and folders that git does not track, as the user has them; paths count from the root."""
        for name in paths:
            source, target = self._top / name, self.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, dirs_exist_ok=True)
            else:
                shutil.copy2(source, target)

    def is_ready(self) -> None:
        """Note that it is whole."""
        (self._home / READY).touch()

    def remove(self) -> None:
        """Remove it, if it is there."""
        (self._home / READY).unlink(missing_ok=True)
        if self._home.exists():
            shutil.rmtree(self._home)
