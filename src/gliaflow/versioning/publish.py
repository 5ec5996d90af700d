"""Publish a data version: a name for HEAD, once everything is committed and all data is on the remote."""

import re
from collections.abc import Callable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

from gliaflow.errors import UserError
from gliaflow.store.files import reason
from gliaflow.store.remote import Remote
from gliaflow.store.transfer import some
from gliaflow.versioning import names
from gliaflow.versioning.fetching import fetch_listings
from gliaflow.versioning.names import git
from gliaflow.versioning.outputs import Output, left_out, outputs, stays
from gliaflow.versioning.versions import Facts, Version

DATA_CARD = "data/README.md"
LICENCE = re.compile(r"^\|\s*Licence\s*\|\s*(.+?)\s*\|$", re.MULTILINE)  # a row of the data card


def publish(
    repo: Any, name: str, licence: str | None = None, remote: str | None = None, say: Callable[[str], None] = print
) -> Version:
    """Tag HEAD as the version `name`, with its card, also on the git remote that the team shares.

    `licence` is that of the data, by default what the data card says; `remote` is the DVC remote that must hold all.

    Raises:
        UserError: the version may not have this name; something is not committed, or an object not on the remote; DVC
            cannot read a file of metrics; or nobody says which licence the data has.
        TransientError: a remote cannot be reached.
    """
    place = names.shared_remote(repo)
    names.may_name(repo, name, place)
    if place and not git(repo, "branch", "--remotes", "--contains", "HEAD", "--list", f"{place}/*").stdout:
        raise UserError(f"HEAD is on no branch of {place}; git push it first")
    _all_committed(repo)
    found = outputs(repo)
    fetch_listings(repo, found, remote)
    _all_pushed(repo, found, remote)
    version = _version(repo, name, found, licence or _licence(Path(repo.root_dir)))
    names.tag(repo, name, version.text(), place)
    say(f"{name}: {len(found)} outputs, {version.files} files, {version.bytes:,} bytes")
    if not place:
        say(f"the tag {name} is in this repository alone, which has no git remote")
    if missing := left_out(repo):
        say(f"not in {name}, since DVC pushes them nowhere: {some(missing)}")
    return version


def _all_committed(repo: Any) -> None:
    changed = git(repo, "status", "--porcelain").stdout.splitlines()
    if changed:
        raise UserError(f"not everything is committed: {some([line[3:] for line in changed])}")
    if found := sorted(_stale(repo)):
        run = "gliaflow repro" + (" -P, or dvc repro -P" if any(":" in name for name in found) else "")
        raise UserError(f"the data is not that of dvc.lock: {some(found)}; run it ({run}), and commit")


def _stale(repo: Any) -> Iterator[str]:
    """The stages whose data is not that of dvc.lock.

    Outputs that are in no version do not count, nor does an import that has changed where it comes from.
    """
    kept = {str(out) for out in repo.index.outs if stays(out)}
    imports = {stage.addressing for stage in repo.index.stages if stage.is_repo_import}
    for name, what in repo.status().items():
        outs = [one.get("changed outs", {"": ""}).keys() if isinstance(one, dict) else {one} for one in what]
        if name not in imports and set().union(*outs) - kept - {"always changed"}:
            yield name


def _all_pushed(repo: Any, found: list[Output], remote: str | None) -> None:
    missing = Remote(repo, remote).missing(set().union(*(output.objects for output in found)))
    lacking = [output.path for output in found if output.objects & missing]
    if lacking:
        raise UserError(f"not on the remote: {some(lacking)}; dvc push them first")


def _version(repo: Any, name: str, found: list[Output], licence: str | tuple[str, ...]) -> Version:
    merged = set(git(repo, "tag", "--merged", "HEAD").stdout.split())
    return Version(
        name=name,
        commit=git(repo, "rev-parse", "HEAD").stdout.strip(),
        parents=tuple(one for one in names.listed(repo) if one in merged)[:1],
        licence=licence,
        files=sum(output.files for output in found),
        bytes=sum(output.bytes for output in found),
        outputs={o.path: Facts(o.hash, o.bytes, o.files) for o in found},
        metrics=_metrics(repo),
    )


def _metrics(repo: Any) -> dict[str, Any]:
    with chdir(repo.root_dir):  # DVC names files as seen from the working directory
        shown = repo.metrics.show().get("", {}).get("data", {})
    kept = left_out(repo)
    found = {path: one for path, one in sorted(shown.items()) if path not in kept}
    for path, error in [(path, one["error"]) for path, one in found.items() if "error" in one]:
        raise UserError(f"'{path}' cannot be read as metrics: {reason(error.__cause__ or error)}")
    return {path: one["data"] for path, one in found.items()}


def _licence(root: Path) -> tuple[str, ...]:
    card = root / DATA_CARD
    found = LICENCE.findall(card.read_text()) if card.exists() else []
    if not found:
        raise UserError(f"which licence has the data? Say --licence, or a row `| Licence | ... |` in {DATA_CARD}")
    return tuple(str(licence) for licence in found)
