"""`gliaflow push`, `fetch`, `publish`, `versions`, `get` and `diff`: runs and data versions, shared with a team."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Jobs, Json, RemoteName, Switch, Tell, answer
from gliaflow.errors import UserError

if TYPE_CHECKING:
    from gliaflow.store.transfer import Transfer


def push(
    *,
    verify: Switch = False,
    remote: RemoteName = None,
    jobs: Jobs = None,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Send every run that the remote does not know, each after its objects.

    Example: gliaflow push --remote store

    Args:
        verify: Read all that is on the remote of what is here, and send again what is damaged there.
    """
    from gliaflow import api

    with answer(as_json) as tell:
        _end(tell, "pushed", api.push(repo, remote=remote, jobs=jobs, verify=verify, say=print))


def fetch(*, remote: RemoteName = None, jobs: Jobs = None, repo: Folder = Path(), as_json: Json = False) -> None:
    """Fetch every run that the remote knows, with its objects.

    Example: gliaflow fetch -j 16
    """
    from gliaflow import api

    with answer(as_json) as tell:
        _end(tell, "fetched", api.fetch(repo, remote=remote, jobs=jobs, say=print))


def publish(
    name: str,
    /,
    *,
    licence: str | None = None,
    remote: RemoteName = None,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Name the data of this commit as a version, if all of it is committed and pushed.

    Example: gliaflow publish v1 --licence CC-BY-4.0

    Args:
        name: The version, a name that git takes for a tag.
        licence: That of the data; by default what data/README.md says.
    """
    from gliaflow import api

    with answer(as_json) as tell:
        tell(api.publish(name, repo, licence=licence, remote=remote, say=print).plain(), [])


def versions(name: str | None = None, /, *, repo: Folder = Path(), as_json: Json = False) -> None:
    """List all versions, the newest first, or show the card of one.

    Example: gliaflow versions v1

    Args:
        name: The version to show.
    """
    from gliaflow import api

    with answer(as_json) as tell:
        if name is None:
            found = api.versions(repo, say=print)
            lines = [str(one) for one in found]
            tell([one.plain() for one in found], lines or ["no version yet: `gliaflow publish NAME` makes one"])
        else:
            one = api.version(name, repo)
            tell(one.plain(), one.text().splitlines())


def get(
    name: str,
    /,
    *,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    remote: RemoteName = None,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Write every output of a version into a new folder.

    Example: gliaflow get v1 --out data-v1

    Args:
        name: The version.
        out: The new folder; named as the version by default.
    """
    from gliaflow import api

    target = (out or Path(name)).absolute()
    with answer(as_json) as tell:
        one = api.get(name, target, repo, remote=remote, say=print)
        tell({**one.plain(), "folder": str(target)}, [])


def diff(
    old: str,
    new: str,
    /,
    *,
    every: Annotated[Switch, Parameter(name="--all")] = False,
    remote: RemoteName = None,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Tell what changed from one version to another.

    Example: gliaflow diff v1 v2

    Args:
        old: The version to compare with.
        new: The version that is compared, as a rule the newer one.
        every: Print metrics that are equal, too.
    """
    from gliaflow import api

    with answer(as_json) as tell:
        found = api.compare(old, new, repo, remote=remote)
        tell(found.plain(), found.text(every).splitlines())


def _end(tell: Tell, verb: str, sent: "Transfer") -> None:
    tell(sent.plain(), sent.lines(verb))
    if sent.problems:
        raise UserError(f"{len(sent.problems)} runs are not complete and were left out, see above")
