"""`gliaflow push`, `fetch`, `publish`, `versions`, `get` and `diff`: runs and data versions, shared with a team."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from gliaflow.errors import UserError
from gliaflow.store.records import Remote
from gliaflow.store.repository import opened
from gliaflow.versioning import diff as differences
from gliaflow.versioning import versions as store

RemoteName = Annotated[str | None, Parameter(alias="-r")]
Jobs = Annotated[int | None, Parameter(alias="-j")]


def push(*, verify: bool = False, remote: RemoteName = None, jobs: Jobs = None, repo: Path = Path()) -> None:
    """Send every run that the remote does not know, with its objects."""
    _check(jobs)
    with opened(repo) as found:
        sent = Remote(found, remote, jobs).push(every=verify)
        lacking = {record: names for record, names in sent.lacking.items() if record not in sent.gone}
        _tell("pushed", sent, lacking)


def fetch(*, remote: RemoteName = None, jobs: Jobs = None, repo: Path = Path()) -> None:
    """Fetch every run that the remote knows, with its objects."""
    _check(jobs)
    with opened(repo) as found:
        there = Remote(found, remote, jobs)
        records = there.records()
        sent = there.fetch()
        objects = there.fetch_objects(records - set(sent.lacking))
        sent.objects = objects.objects
        _tell("fetched", sent, sent.lacking | objects.lacking)


def publish(name: str, *, licence: str | None = None, remote: RemoteName = None, repo: Path = Path()) -> None:
    """Name the data of this commit as a version, if all of it is committed and pushed."""
    with opened(repo) as found:
        store.publish(found, name, licence, remote)


def versions(name: str | None = None, *, repo: Path = Path()) -> None:
    """List all versions, or show the card of one."""
    with opened(repo) as found:
        if name:
            print(store.text(store.read(found, name)), end="")
            return
        for one in store.listed(found):
            try:
                card = store.read(found, one)
            except UserError as error:  # the others can be read all the same
                print(f"{one}: {error}")
                continue
            print(f"{one}: {card['commit'][:9]}, {len(card['outputs'])} outputs, {card['bytes']:,} bytes")


def get(
    name: str,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    remote: RemoteName = None,
    repo: Path = Path(),
) -> None:
    """Write every output of a version into a new folder."""
    target = (out or Path(name)).absolute()
    with opened(repo) as found:
        store.get(found, name, target, remote)


def diff(
    old: str,
    new: str,
    *,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    remote: RemoteName = None,
    repo: Path = Path(),
) -> None:
    """Tell what changed from one version to another."""
    with opened(repo) as found:
        print(differences.between(found, old, new, remote, every), end="")


def _check(jobs: int | None) -> None:
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs is {jobs}; at least one file must be copied at once")


def _tell(done: str, sent: Any, lacking: dict[Any, list[str]]) -> None:
    print(f"{done} {sent.records} runs, {sent.objects} objects")
    for record, names in lacking.items():
        what = store.some(names) or "its record"
        print(f"incomplete: run {record.value[:12]}: missing, damaged or not copied: {what}")
    if sent.gone:
        print(f"{len(sent.gone)} runs were not sent: what they made is neither here nor there, as after dvc gc")
    if lacking:
        raise UserError(f"{len(lacking)} runs are not complete and were left out, see above")
