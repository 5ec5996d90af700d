"""Hashes of data, as they stand in dvc.lock and .dvc files: of the workspace, and of commits and all before them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from dvc.dvcfile import LOCK_FILE

from gliaflow.machine.git import git

HASH = re.compile(r"\b[0-9a-f]{32}(?:\.dir)?\b")
# files of git in which hashes stand; for these patterns `git rev-list --objects` would go into no folder
NAMING = (f":(glob)**/{LOCK_FILE}", ":(glob)**/*.dvc")
OTHERS = ("--branches", "--tags", "--remotes", "--glob=refs/stash*", "HEAD")  # what names commits, but for experiments


def in_text(text: str) -> set[str]:
    """All hashes in a text."""
    return set(HASH.findall(text))


def in_files(paths: Iterable[Path]) -> set[str]:
    """All hashes in files, as far as these are there."""
    texts = (path.read_text(encoding="utf-8", errors="replace") for path in paths if path.is_file())
    return {one for text in texts for one in in_text(text)}


def in_folder(root: Path) -> set[str]:
    """All hashes in the dvc.lock files below a folder."""
    return in_files(root.rglob(LOCK_FILE))


def in_commits(top: Path, revs: Sequence[str], refs: Sequence[str] = ()) -> set[str]:
    """All hashes in these commits of the git repository at `top`, and in all commits before them.

    `refs` are further commits, as options of `git rev-list`: `--branches`.
    """
    if not revs and not refs:
        return set()
    commits = git(top, "rev-list", *refs, "--stdin", input="".join(f"{one}\n" for one in revs)).stdout
    line = ["diff-tree", "--stdin", "-r", "--root", "-m", "--raw", "--no-commit-id", "--no-renames", "--no-abbrev"]
    changes = git(top, *line, "--", *NAMING, input=commits).stdout.splitlines()
    blobs = {found[3] for one in changes if (found := one.split()) and found[1].startswith("100")}  # a file, by now
    return in_text(git(top, "cat-file", "--batch", input="".join(f"{one}\n" for one in sorted(blobs))).stdout)


def in_repository(top: Path, revs: Sequence[str] = ()) -> set[str]:
    """All hashes that the repository at `top` names: branches, tags, stashes, working trees, and these commits."""
    stashes = git(top, "reflog", "--format=%H", "refs/stash", "--", check=False).stdout.split()
    trees = [Path(one.removeprefix("worktree ")) for one in _worktrees(top) if one.startswith("worktree ")]
    heads = [one.removeprefix("HEAD ") for one in _worktrees(top) if one.startswith("HEAD ") and set(one[5:]) != {"0"}]
    files = (tree / name for tree in trees if tree.is_dir() for name in _tracked(tree))
    return in_commits(top, [*revs, *stashes, *heads], OTHERS) | in_files(files)


def _worktrees(top: Path) -> list[str]:
    return git(top, "worktree", "list", "--porcelain").stdout.splitlines()


def _tracked(tree: Path) -> list[str]:
    """DVC's files of a working tree, those that are not committed among them."""
    line = ["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *NAMING]
    return [name for name in git(tree, *line, check=False).stdout.split("\0") if name]
