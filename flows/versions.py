"""Data versions: a name for a commit all of whose data is on the remote, with a card of what is in it.

The name is an annotated tag of git, whose message is the card as YAML: plain `dvc get`, `dvc import` and `dvc.api` take
it for `rev`, and nothing of it can change without a new name.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from dvc.exceptions import DvcException
from dvc.repo import Repo
from ruamel.yaml import YAML

from flows import run_git
from flows.insist import insist
from flows.remote import MEND, Remote, verify
from flows.run_git import git
from flows.screen import dvc_silent
from stages.atomic import staged
from stages.errors import TransientError, UserError

TITLE = "Data version"
LICENCE = re.compile(r"^\|\s*Licence\s*\|\s*(.+?)\s*\|$", re.MULTILINE)  # a row of the data card


@dataclass(frozen=True)
class Output:
    """One output of a commit, and the objects that it is made of."""

    path: str  # from the root
    hash: str
    bytes: int
    files: int
    objects: frozenset[Any]  # of DVC's cache; none if it is in git
    out: Any


def publish(repo: Any, name: str, licence: str | None, remote: str | None, say: Callable[[str], None] = print) -> None:
    """Tag HEAD as `name`, with its card.

    Raises:
        UserError: the name is taken or none for git, something is not committed, an object is not on the remote, or
            nobody says which licence the data has.
    """
    if _git(repo, "check-ref-format", f"refs/tags/{name}", check=False).returncode:
        raise UserError(f"'{name}' cannot name a version: git does not take it for a tag")
    if _git(repo, "rev-parse", "--verify", "--quiet", f"refs/tags/{name}", check=False).returncode == 0:
        raise UserError(f"'{name}' is there already, and a version never moves: take another name")
    place = run_git.remote(_top(repo))
    if place:
        if insist(lambda: _git(repo, "ls-remote", place, f"refs/tags/{name}", far=True)).stdout:
            raise UserError(f"'{name}' is on {place} already, and a version never moves: take another name")
        if not _git(repo, "branch", "--remotes", "--contains", "HEAD", "--list", f"{place}/*").stdout:
            raise UserError(f"HEAD is on no branch of {place}; git push it first")
    _all_committed(repo)
    found = list(_outputs(repo, remote))
    _all_pushed(repo, found, remote)
    card = _card(repo, found, licence or _licence(Path(repo.root_dir)))
    message = f"{TITLE} {name}\n\n{text(card)}"
    _git(repo, "tag", "--annotate", "--cleanup=verbatim", "--file=-", name, input=message)
    if place:
        try:
            insist(lambda: _git(repo, "push", "--quiet", place, f"refs/tags/{name}", far=True))
        except (UserError, TransientError):
            _git(repo, "tag", "--delete", name)
            raise
    say(f"{name}: {len(found)} outputs, {sum(output.files for output in found)} files, {card['bytes']:,} bytes")


def get(repo: Any, name: str, target: Path, remote: str | None, say: Callable[[str], None] = print) -> None:
    """Write every output of the version below the folder `target`, whole or not at all.

    Raises:
        UserError: there is no such version, there is something at `target`, or an object is damaged or missing on the
            remote.
    """
    if target.exists():
        raise UserError(f"{target} is there already: name another folder with --out")
    read(repo, name)
    with repo.switch(name):
        found = list(_outputs(repo, remote))
        fetch(repo, found, remote)
        with staged(target) as (partial,):
            for output in found:
                _write(repo, output, partial / output.path)
    say(f"{name}: {len(found)} outputs in {target}")


def fetch(repo: Any, found: list[Output], remote: str | None) -> None:
    """Have all objects of these outputs in the cache, hashed anew as they come.

    Raises:
        UserError: some are damaged or missing on the remote; names them.
    """
    needed = set().union(*(output.objects for output in found))
    away = {one for one in needed if not repo.cache.local.exists(one.value)}
    if away:
        lacking = Remote(repo, remote).take(away)
        for output in found:
            for one in sorted(o.value for o in output.objects & lacking):
                raise UserError(f"{output.path}: object {one} is missing or damaged on the remote; {MEND}")


def files(repo: Any, name: str, paths: Collection[str], remote: str | None, scratch: Path) -> dict[str, Path]:
    """Where to read these outputs of the version, which are files: in the cache, or below `scratch` what git holds.

    Nothing but their objects is fetched.

    Raises:
        UserError: an object is damaged or missing on the remote.
    """
    if not paths:
        return {}
    with repo.switch(name):
        found = list(_outputs(repo, remote, paths))
        fetch(repo, found, remote)
        for output in found:
            if not output.objects:
                _write(repo, output, scratch / output.path)
        return {o.path: Path(repo.cache.local.oid_to_path(o.hash)) if o.objects else scratch / o.path for o in found}


def read(repo: Any, name: str) -> dict[str, Any]:
    """The card of a version.

    Raises:
        UserError: there is no such version.
    """
    shown = _git(repo, "for-each-ref", "--format=%(contents)", f"refs/tags/{name}").stdout
    title, _, written = shown.partition("\n\n")
    if title != f"{TITLE} {name}":
        names = ", ".join(listed(repo)) or "none yet"
        raise UserError(f"'{name}' is no data version (git fetch --tags brings new ones); there are: {names}")
    card: dict[str, Any] = YAML(typ="safe", pure=True).load(written)
    return card


def text(card: dict[str, Any]) -> str:
    """A card as YAML."""
    yaml, stream = YAML(typ="safe", pure=True), StringIO()
    yaml.default_flow_style = False
    yaml.dump(card, stream)
    return stream.getvalue()


def listed(repo: Any) -> list[str]:
    """The names of all versions, the newest first."""
    form = "%(refname:strip=2)\t%(contents:subject)"
    lines = _git(
        repo, "for-each-ref", "--sort=-version:refname", "--sort=-creatordate", f"--format={form}", "refs/tags"
    ).stdout.splitlines()
    pairs = (line.partition("\t")[::2] for line in lines)
    return [name for name, subject in pairs if subject == f"{TITLE} {name}"]


@contextmanager
def opened(root: Path) -> Iterator[Any]:
    """The repository that `root` lies in; the working directory is there, since DVC takes paths from there."""
    try:
        with chdir(root), dvc_silent(), Repo() as repo:
            verify(repo)
            yield repo
    except DvcException as error:
        raise UserError(" ".join(str(error).split())) from error


def _outputs(repo: Any, remote: str | None, only: Collection[str] | None = None) -> Iterator[Output]:
    """The outputs of all stages and .dvc files of the commit that `repo` stands at, or those of `only`, by path."""
    by_path = {repo.fs.relpath(out.fs_path, repo.root_dir): out for out in repo.index.outs if out.is_in_repo}
    for path, out in sorted(by_path.items()):
        if only is not None and path not in only:
            continue
        if not out.hash_info:
            raise UserError(f"'{path}' was never computed: run it, and commit dvc.lock")
        objects = set().union(*out.get_used_objs(remote=remote, force=True).values()) if out.use_cache else set()
        if out.use_cache and not objects:
            raise UserError(f"'{path}': the listing of its folder, {out.hash_info.value}, is not on the remote")
        size, files = (out.meta.size or 0, out.meta.nfiles or 1) if out.meta else (0, 1)
        yield Output(path, str(out.hash_info.value), size, files, frozenset(objects), out)


def _all_committed(repo: Any) -> None:
    changed = _git(repo, "status", "--porcelain").stdout.splitlines()
    if changed:
        raise UserError(f"not everything is committed: {some([line[3:] for line in changed])}")
    status = {name: what for name, what in repo.status().items() if what != ["always changed"]}
    if status:
        raise UserError(f"the data is not that of dvc.lock: {some(sorted(status))}; run it, and commit")


def _all_pushed(repo: Any, found: list[Output], remote: str | None) -> None:
    away = Remote(repo, remote).away(set().union(*(output.objects for output in found)))
    lacking = [output.path for output in found if output.objects & away]
    if lacking:
        raise UserError(f"not on the remote: {some(lacking)}; dvc push, or python -m flows.share push, first")


def _card(repo: Any, found: list[Output], licence: list[str] | str) -> dict[str, Any]:
    head = _git(repo, "rev-parse", "HEAD").stdout.strip()
    merged = set(_git(repo, "tag", "--merged", "HEAD").stdout.split())
    metrics = repo.metrics.show().get("", {}).get("data", {})
    return {
        "commit": head,
        "parents": [name for name in listed(repo) if name in merged][:1],
        "licence": licence,
        "files": sum(output.files for output in found),
        "bytes": sum(output.bytes for output in found),
        "outputs": {o.path: {"hash": o.hash, "bytes": o.bytes, "files": o.files} for o in found},
        "metrics": {path: one["data"] for path, one in sorted(metrics.items()) if "data" in one},
    }


def _licence(root: Path) -> list[str]:
    card = root / "data/README.md"
    found = LICENCE.findall(card.read_text()) if card.exists() else []
    if not found:
        raise UserError("which licence has the data? Say --licence, or a row `| Licence | ... |` in data/README.md")
    return [str(licence) for licence in found]


def _write(repo: Any, output: Output, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if not output.out.use_cache:  # git has it
        with output.out.fs.open(output.out.fs_path, "rb") as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    elif output.out.is_dir_checksum:
        target.mkdir()
        for key, _, hash_info in output.out.get_obj():
            inside = target.joinpath(*key)
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repo.cache.local.oid_to_path(hash_info.value), inside)
    else:
        shutil.copyfile(repo.cache.local.oid_to_path(output.hash), target)


def some(names: list[str], most: int = 5) -> str:
    """The first of the names, and how many more there are."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def _git(repo: Any, *line: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return git(_top(repo), *line, **options)


def _top(repo: Any) -> str:
    return str(repo.scm.root_dir if repo.scm else repo.root_dir)
