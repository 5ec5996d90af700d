"""`gliaflow gc`: removes what sweeps have left."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Many, RemoteName, Switch, answer

if TYPE_CHECKING:
    from gliaflow.experiments.gc import Waste

UNITS = ("B", "KB", "MB", "GB", "TB")
THOUSAND = 1000


def gc(
    *,
    keep: Many = (),
    cloud: Annotated[Switch, Parameter(alias="-c")] = False,
    remote: RemoteName = None,
    projects: Annotated[tuple[Path, ...], Parameter(negative="", show_default=False)] = (),
    dry: Switch = False,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Remove what sweeps have left: experiments, and of the cache what nobody else names.

    What a branch, a tag, a version, a stash, a remote branch or the workspace names stays, with all its history. So an
    experiment that has become a branch can be restored.

    Example: gliaflow gc --dry --keep puffy-daks

    Args:
        keep: The name of an experiment that stays; may be repeated.
        cloud: Remove it from the DVC remote too, the default one or that of --remote.
        projects: Another repository that uses this cache, whose data stays too; may be repeated. A cache outside of
            `.dvc` keeps all data unless they are named.
        dry: Only tell what would go.
    """
    from gliaflow import api

    with answer(as_json) as tell:
        found = api.gc(repo, keep=keep, cloud=cloud, remote=remote, projects=projects, dry=dry, say=print)
        tell({**found.plain(), "dry": dry}, _lines(found, dry))


def _lines(found: "Waste", dry: bool) -> Iterator[str]:
    """For a person."""
    done = "would remove" if dry else "removed"
    yield f"{done} {len(found.experiments)} experiments and {found.workspaces} workspaces that sweeps have left"
    for place in found.places:
        parts = f"{len(place.objects)} objects and {len(place.records)} runs"
        yield f"{place.name}: {done} {parts}, {size(place.bytes)}; {size(place.total)} before, {size(place.left)} after"


def size(count: int) -> str:
    """Bytes as a person reads them."""
    value, unit = float(count), 0
    while value >= THOUSAND and unit < len(UNITS) - 1:
        value, unit = value / THOUSAND, unit + 1
    return f"{value:.1f} {UNITS[unit]}" if unit else f"{count} B"
