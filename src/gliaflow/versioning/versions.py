"""Data versions: a name for a commit all of whose data is on the remote, with a card of what is in it.

The name is an annotated tag of git, whose message is the card as YAML: plain `dvc get`, `dvc import` and `dvc.api` take
it for `rev`, and nothing of it can change without a new name. What DVC pushes nowhere is in no version: imports
from another repository (`dvc import`), and outputs that say `push: false`.
"""

import re
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from io import StringIO
from pathlib import Path, PurePosixPath
from typing import Any

from dvc_data.hashfile.tree import Tree
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from gliaflow.errors import UserError
from gliaflow.machine import git as run_git
from gliaflow.machine.git import git
from gliaflow.machine.retry import retry
from gliaflow.store import files as depot
from gliaflow.store.records import MEND, Remote, cache_of
from stages.atomic import staged

TITLE = "Data version"
LONGEST = 100  # characters of a name: with what git adds it must name a file
MEANT = re.compile("-.*|@|workspace|(.*/|[A-Z_]+_)?HEAD|(refs|heads|tags|remotes)/.*|[0-9a-f]{40}|[0-9a-f]{64}")
CARD = {"commit": str, "parents": list, "licence": str | list, "bytes": int, "outputs": dict, "metrics": dict}
LICENCE = re.compile(r"^\|\s*Licence\s*\|\s*(.+?)\s*\|$", re.MULTILINE)  # a row of the data card


@dataclass(frozen=True)
class Output:
    """One output of a commit."""

    path: str  # from the root
    hash: str
    bytes: int
    files: int
    out: Any

    @cached_property
    def inside(self) -> Any:
        """The files of a folder, each with its key and object; its listing must be in the cache."""
        found = self.out.hash_info
        return Tree.load(cache_of(self.out.repo, found), found) if self.out.use_cache and found.isdir else ()

    @cached_property
    def objects(self) -> set[Any]:
        """What it is made of in DVC's cache; none if it is in git."""
        return {self.out.hash_info, *(one for _, _, one in self.inside)} if self.out.use_cache else set()


def publish(repo: Any, name: str, licence: str | None, remote: str | None, say: Callable[[str], None] = print) -> None:
    """Tag HEAD as `name`, with its card.

    Raises:
        UserError: the name is taken, means something else or is none for git, something is not committed, an object is
            not on the remote, DVC cannot read a file of metrics, or nobody says which licence the data has.
    """
    place = run_git.remote(_top(repo))
    _may_name(repo, name, place)
    if place and not _git(repo, "branch", "--remotes", "--contains", "HEAD", "--list", f"{place}/*").stdout:
        raise UserError(f"HEAD is on no branch of {place}; git push it first")
    _all_committed(repo)
    found = list(_outputs(repo))
    _listings(repo, found, remote)
    _all_pushed(repo, found, remote)
    card = _card(repo, found, licence or _licence(Path(repo.root_dir)))
    message = f"{TITLE} {name}\n\n{text(card)}"
    _git(repo, "tag", "--annotate", "--cleanup=verbatim", "--file=-", name, input=message)
    if place:
        try:
            retry(lambda: _git(repo, "push", "--quiet", place, f"refs/tags/{name}", far=True))
        except BaseException:  # an interruption as well
            _git(repo, "tag", "--delete", name, check=False)
            raise
    say(f"{name}: {len(found)} outputs, {sum(output.files for output in found)} files, {card['bytes']:,} bytes")
    if left_out := _left_out(repo):
        say(f"not in {name}, since DVC pushes them nowhere: {some(left_out)}")


def get(repo: Any, name: str, target: Path, remote: str | None, say: Callable[[str], None] = print) -> None:
    """Write every output of the version below the folder `target`, whole or not at all.

    Raises:
        UserError: there is no such version, there is something at `target`, or an object is damaged or missing here
            and on the remote.
    """
    if target.exists():
        raise UserError(f"{target} is there already: name another folder with --out")
    card = read(repo, name)
    found = _of(repo, card, card["outputs"])
    fetch(repo, found, remote)
    with staged(target) as (coming,):
        for output in found:
            _write(repo, output, coming / output.path)
    say(f"{name}: {len(found)} outputs in {target}")


def fetch(repo: Any, found: list[Output], remote: str | None) -> None:
    """Have all objects of these outputs in the cache, hashed anew: those that are there, and as they come.

    Raises:
        UserError: some are damaged or missing here and on the remote; names them.
    """
    _listings(repo, found, remote)
    lacking = _lacking(repo, set().union(*(output.objects for output in found)), remote)
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
    found = _of(repo, read(repo, name), paths)
    fetch(repo, found, remote)
    for output in found:
        if not output.objects:
            _write(repo, output, scratch / output.path)
    return {o.path: _path(repo, o.out.hash_info) if o.objects else scratch / o.path for o in found}


def read(repo: Any, name: str) -> dict[str, Any]:
    """The card of a version.

    Raises:
        UserError: there is no such version, or its tag holds no card.
    """
    form = "%(contents:subject)%0a%(contents:body)"  # without the signature that a tag may end with
    shown = _git(repo, "for-each-ref", f"--format={form}", f"refs/tags/{name}").stdout
    title, _, written = shown.partition("\n")
    if title != f"{TITLE} {name}":
        names = ", ".join(listed(repo)) or "none yet"
        raise UserError(f"'{name}' is no data version (git fetch --tags brings new ones); there are: {names}")
    try:
        card = YAML(typ="safe", pure=True).load(written)
    except YAMLError:
        card = None
    if not isinstance(card, dict) or not all(isinstance(card.get(key), kind) for key, kind in CARD.items()):
        raise UserError(f"the tag '{name}' is called a data version and holds no card of one: see git show '{name}'")
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


def _of(repo: Any, card: dict[str, Any], paths: Collection[str]) -> list[Output]:
    """These outputs of a version; what is fetched of them later comes from the remotes of today, not of its commit."""
    with repo.switch(card["commit"]):
        return list(_outputs(repo, paths))


def _outputs(repo: Any, only: Collection[str] | None = None) -> Iterator[Output]:
    """The outputs of the commit that `repo` stands at, by path: all that DVC pushes, or those of `only`."""
    by_path = {repo.fs.relpath(out.fs_path, repo.root_dir): out for out in repo.index.outs if out.is_in_repo}
    for path, out in sorted(by_path.items()):
        if _kept(out) if only is None else path not in only:
            continue
        if not out.hash_info:
            raise UserError(f"'{path}' was never computed: run it, and commit dvc.lock")
        size, files = (out.meta.size or 0, out.meta.nfiles or 1) if out.meta else (0, 1)
        yield Output(path, str(out.hash_info.value), size, files, out)


def _kept(out: Any) -> bool:
    """Whether DVC pushes it nowhere."""
    return bool(out.stage.is_repo_import or not out.can_push)


def _left_out(repo: Any) -> list[str]:
    return sorted(repo.fs.relpath(o.fs_path, repo.root_dir) for o in repo.index.outs if o.is_in_repo and _kept(o))


def _listings(repo: Any, found: list[Output], remote: str | None) -> None:
    """Have the listings of all folders in the cache.

    Raises:
        UserError: one is damaged or missing here and on the remote.
    """
    listings = {o.out.hash_info: o.path for o in found if o.out.use_cache and o.out.hash_info.isdir}
    for one in _lacking(repo, listings.keys(), remote):
        what = f"the listing of its folder, {one.value}, is missing or damaged on the remote"
        raise UserError(f"'{listings[one]}': {what}; {MEND}")


def _lacking(repo: Any, objects: Collection[Any], remote: str | None) -> set[Any]:
    """Those that cannot be had; one that is damaged in the cache is dropped there, as DVC does, and fetched again."""
    whole = depot.each(repo.cache.local, None, partial(_whole, repo), objects)
    away = {one for one, is_whole in zip(objects, whole, strict=True) if not is_whole}
    for one in away:
        _path(repo, one).unlink(missing_ok=True)
    return Remote(repo, remote).take(away) if away else set()


def _whole(repo: Any, one: Any) -> bool:
    return depot.whole(cache_of(repo, one), one.value)


def _path(repo: Any, one: Any) -> Path:
    return Path(cache_of(repo, one).oid_to_path(one.value))


def _may_name(repo: Any, name: str, place: str | None) -> None:
    """That a version may be called so, here and on the git remote `place`.

    Raises:
        UserError: it may not; says why.
    """
    if len(name) > LONGEST:
        raise UserError(f"'{name[:20]}…' cannot name a version: it has {len(name)} characters, more than {LONGEST}")
    if MEANT.fullmatch(name):
        raise UserError(f"'{name}' cannot name a version: to git or DVC it means something else")
    if _git(repo, "check-ref-format", f"refs/tags/{name}", check=False).returncode:
        raise UserError(f"'{name}' cannot name a version: git does not take it for a tag")
    tag, branch = f"refs/tags/{name}", f"refs/heads/{name}"
    above = [f"refs/tags/{folder}" for folder in PurePosixPath(name).parents if folder.name]
    here, there = set(_git(repo, "for-each-ref", "--format=%(refname)", "refs/tags").stdout.split()), set[str]()
    if place:
        asked = ["ls-remote", "--refs", place, tag, f"{tag}/*", branch, *above]
        there = {line.split("\t")[1] for line in retry(lambda: _git(repo, *asked, far=True)).stdout.splitlines()}
    if tag in here and place and tag not in there and name in listed(repo):  # one that publishes was killed
        mend = f"`git push {place} {tag}` sends it, `git tag -d {name}` removes it"
        raise UserError(f"'{name}' is here, but not on {place}: {mend}")
    if tag in here | there:
        where = "there" if tag in here else f"on {place}"
        raise UserError(f"'{name}' is {where} already, and a version never moves: take another name")
    for other in sorted(one for one in here | there if one.startswith(f"{tag}/") or one in above):
        beside = other.removeprefix("refs/tags/")
        raise UserError(f"'{name}' cannot stand beside '{beside}': to git, one is a folder of the other")
    known = _git(repo, "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", check=False).returncode == 0
    if branch in there or known:
        raise UserError(f"'{name}' is a branch or a commit to git already: take another name")


def _all_committed(repo: Any) -> None:
    changed = _git(repo, "status", "--porcelain").stdout.splitlines()
    if changed:
        raise UserError(f"not everything is committed: {some([line[3:] for line in changed])}")
    if found := sorted(_stale(repo)):
        run = "python -m gliaflow.cli.repro" + (" -P, or dvc repro -P" if any(":" in name for name in found) else "")
        raise UserError(f"the data is not that of dvc.lock: {some(found)}; run it ({run}), and commit")


def _stale(repo: Any) -> Iterator[str]:
    """The stages whose data is not that of dvc.lock; but for outputs that are in no version, and for news elsewhere."""
    kept = {str(out) for out in repo.index.outs if _kept(out)}
    imports = {stage.addressing for stage in repo.index.stages if stage.is_repo_import}
    for name, what in repo.status().items():
        outs = [one.get("changed outs", {"": ""}).keys() if isinstance(one, dict) else {one} for one in what]
        if name not in imports and set().union(*outs) - kept - {"always changed"}:
            yield name


def _all_pushed(repo: Any, found: list[Output], remote: str | None) -> None:
    away = Remote(repo, remote).away(set().union(*(output.objects for output in found)))
    lacking = [output.path for output in found if output.objects & away]
    if lacking:
        raise UserError(f"not on the remote: {some(lacking)}; dvc push, or python -m gliaflow.cli.share push, first")


def _card(repo: Any, found: list[Output], licence: list[str] | str) -> dict[str, Any]:
    head = _git(repo, "rev-parse", "HEAD").stdout.strip()
    merged = set(_git(repo, "tag", "--merged", "HEAD").stdout.split())
    shown = repo.metrics.show().get("", {})
    kept = _left_out(repo)
    metrics = {path: one for path, one in sorted(shown.get("data", {}).items()) if path not in kept}
    for path, error in [(path, one["error"]) for path, one in metrics.items() if "error" in one]:
        raise UserError(f"'{path}' cannot be read as metrics: {depot.said(error.__cause__ or error)}")
    return {
        "commit": head,
        "parents": [name for name in listed(repo) if name in merged][:1],
        "licence": licence,
        "files": sum(output.files for output in found),
        "bytes": sum(output.bytes for output in found),
        "outputs": {o.path: {"hash": o.hash, "bytes": o.bytes, "files": o.files} for o in found},
        "metrics": {path: one["data"] for path, one in metrics.items()},
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
    elif output.out.hash_info.isdir:
        target.mkdir()
        for key, _, hash_info in output.inside:
            inside = target.joinpath(*key)
            inside.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(_path(repo, hash_info), inside)
    else:
        shutil.copyfile(_path(repo, output.out.hash_info), target)


def some(names: list[str], most: int = 5) -> str:
    """The first of the names, and how many more there are."""
    more = [f"{len(names) - most:,} more"] if len(names) > most else []
    return ", ".join([*names[:most], *more])


def _git(repo: Any, *line: str, **options: Any) -> "subprocess.CompletedProcess[str]":
    return git(_top(repo), *line, **options)


def _top(repo: Any) -> str:
    return str(repo.scm.root_dir if repo.scm else repo.root_dir)
