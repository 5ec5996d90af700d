"""The names of data versions: annotated tags of git, whose message is the card of the version.

Plain `dvc get`, `dvc import` and `dvc.api` take such a name for `rev`, and no version can change without a new name.
"""

import re
import subprocess
from pathlib import PurePosixPath
from typing import Any

from gliaflow.errors import UserError
from gliaflow.machine import git as machine_git
from gliaflow.machine.retry import retry

TITLE = "Data version"
LONGEST = 100  # characters of a name: with what git adds it must name a file
RESERVED = re.compile("-.*|@|workspace|(.*/|[A-Z_]+_)?HEAD|(refs|heads|tags|remotes)/.*|[0-9a-f]{40}|[0-9a-f]{64}")


def git(repo: Any, *line: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run git in the repository of `repo`; options and errors as in `machine.git.git`."""
    return machine_git.git(_top(repo), *line, **options)


def shared_remote(repo: Any) -> str | None:
    """The git remote that a team shares; None if there is none."""
    return machine_git.remote(_top(repo))


def listed(repo: Any) -> list[str]:
    """The names of all versions, the newest first."""
    form = "%(refname:strip=2)\t%(contents:subject)"
    order = ("--sort=-version:refname", "--sort=-creatordate")
    lines = git(repo, "for-each-ref", *order, f"--format={form}", "refs/tags").stdout.splitlines()
    pairs = (line.partition("\t")[::2] for line in lines)
    return [name for name, subject in pairs if subject == f"{TITLE} {name}"]


def card_of(repo: Any, name: str) -> str:
    """The text of the card of a version.

    Raises:
        UserError: there is no such version.
    """
    form = "%(contents:subject)%0a%(contents:body)"  # without the signature that a tag may end with
    shown = git(repo, "for-each-ref", f"--format={form}", f"refs/tags/{name}").stdout
    title, _, card = shown.partition("\n")
    if title != f"{TITLE} {name}":
        names = ", ".join(listed(repo)) or "none yet"
        raise UserError(f"'{name}' is no data version (git fetch --tags brings new ones); there are: {names}")
    return card


def tag(repo: Any, name: str, card: str, place: str | None) -> None:
    """Tag HEAD as the version `name` with its card, here and on the git remote `place`, or nowhere.

    Raises:
        UserError: git refuses.
        TransientError: the git remote cannot be reached.
    """
    message = f"{TITLE} {name}\n\n{card}"
    git(repo, "tag", "--annotate", "--cleanup=verbatim", "--file=-", name, input=message)
    if place:
        try:
            retry(lambda: git(repo, "push", "--quiet", place, f"refs/tags/{name}", far=True))
        except BaseException:  # an interruption as well
            git(repo, "tag", "--delete", name, check=False)
            raise


def may_name(repo: Any, name: str, place: str | None) -> None:
    """Require that a new version may have this name, here and on the git remote `place`.

    Raises:
        UserError: it may not; says why.
        TransientError: the git remote cannot be reached.
    """
    _check_form(repo, name)
    tag = f"refs/tags/{name}"
    folders = [f"refs/tags/{folder}" for folder in PurePosixPath(name).parents if folder.name]
    here = set(git(repo, "for-each-ref", "--format=%(refname)", "refs/tags").stdout.split())
    there = _refs(repo, place, tag, f"{tag}/*", f"refs/heads/{name}", *folders) if place else set()
    if tag in here and place and tag not in there and name in listed(repo):  # a publish was killed
        repair = f"`git push {place} {tag}` sends it, `git tag -d {name}` removes it"
        raise UserError(f"'{name}' is here, but not on {place}: {repair}")
    if tag in here | there:
        where = "there" if tag in here else f"on {place}"
        raise UserError(f"'{name}' is {where} already, and a version never moves: take another name")
    for other in sorted(one for one in here | there if one.startswith(f"{tag}/") or one in folders):
        beside = other.removeprefix("refs/tags/")
        raise UserError(f"'{name}' cannot stand beside '{beside}': to git, one is a folder of the other")
    known = git(repo, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False).returncode == 0
    if f"refs/heads/{name}" in there or known:
        raise UserError(f"'{name}' is a branch or a commit to git already: take another name")


def _check_form(repo: Any, name: str) -> None:
    if len(name) > LONGEST:
        raise UserError(f"'{name[:20]}…' cannot name a version: it has {len(name)} characters, more than {LONGEST}")
    if RESERVED.fullmatch(name):
        raise UserError(f"'{name}' cannot name a version: to git or DVC it means something else")
    if git(repo, "check-ref-format", f"refs/tags/{name}", check=False).returncode:
        raise UserError(f"'{name}' cannot name a version: git does not take it for a tag")


def _refs(repo: Any, place: str, *names: str) -> set[str]:
    """Those of the references that the git remote has."""
    listed = retry(lambda: git(repo, "ls-remote", "--refs", place, *names, far=True)).stdout
    return {line.split("\t")[1] for line in listed.splitlines()}


def _top(repo: Any) -> str:
    return str(repo.scm.root_dir if repo.scm else repo.root_dir)
