"""Share what was computed with a team: runs with their objects, and data versions under a name.

python -m gliaflow.cli.share push                 # every run that the remote does not know, with its objects
python -m gliaflow.cli.share push --verify        # hash also what is there, and send again what is damaged
python -m gliaflow.cli.share fetch                # the other way
python -m gliaflow.cli.share publish v1           # name this commit's data, if all of it is committed and pushed
python -m gliaflow.cli.share get v1 --out data-v1
python -m gliaflow.cli.share list
python -m gliaflow.cli.share show v1
python -m gliaflow.cli.share diff v1 v2           # what changed between them: patients and slices, outputs, metrics
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gliaflow.versioning import diff as difference
from gliaflow.versioning import versions
from gliaflow.store.records import Remote
from stages.command import run
from gliaflow.errors import UserError

NAMES = {"publish": 1, "get": 1, "show": 1, "diff": 2}  # that an action takes
WORDS = ("no name", "the name of a version", "the names of two versions")


def main(
    action: Literal["push", "fetch", "publish", "get", "list", "show", "diff"],
    name: str | None = None,
    other: str | None = None,
    *,
    remote: Annotated[str | None, Parameter(alias="-r")] = None,
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    out: Annotated[Path | None, Parameter(alias="-o")] = None,
    licence: str | None = None,
    every: Annotated[bool, Parameter(name="--all", negative="")] = False,
    verify: bool = False,
    repo: Path = Path(),
) -> None:
    """Share runs and data versions with a team.

    Parameters
    ----------
    action
        push or fetch runs; publish, get or show a version; list them all; diff two of them.
    name
        The version.
    other
        For `diff`, the version to compare with it, as a rule the newer one.
    remote
        A DVC remote, by default the default one.
    jobs
        How many files are copied at once.
    out
        The new folder that `get` writes to; named as the version by default.
    licence
        That of the data, for `publish`; by default what data/README.md says.
    every
        Have `diff` print metrics that are equal, too.
    verify
        Have `push` read all that is on the remote of what is here, and send again what is damaged.
    repo
        A folder of the repository.
    """
    names = [one for one in (name, other) if one is not None]
    if len(names) != NAMES.get(action, 0):
        raise UserError(f"{action} takes {WORDS[NAMES.get(action, 0)]} (given: {', '.join(names) or 'none'})")
    if verify and action != "push":
        raise UserError(f"--verify is for push; what {action} takes is always hashed")
    target = (out or Path(str(name))).absolute()
    if jobs is not None and jobs < 1:
        raise UserError(f"--jobs is {jobs}; at least one file must be copied at once")
    with opened(repo) as opened:
        if action in ("push", "fetch"):
            _runs(opened, action, remote, jobs, verify)
        elif action == "list":
            for one in versions.listed(opened):
                try:
                    card = versions.read(opened, one)
                except UserError as error:  # the others can be read all the same
                    print(f"{one}: {error}")
                    continue
                print(f"{one}: {card['commit'][:9]}, {len(card['outputs'])} outputs, {card['bytes']:,} bytes")
        elif action == "show":
            print(versions.text(versions.read(opened, str(name))), end="")
        elif action == "diff":
            print(difference.between(opened, str(name), str(other), remote, every), end="")
        elif action == "publish":
            versions.publish(opened, str(name), licence, remote)
        else:
            versions.get(opened, str(name), target, remote)


def _runs(repo: Any, action: str, name: str | None, jobs: int | None, verify: bool) -> None:
    store = Remote(repo, name, jobs)
    if action == "push":
        sent = store.push(every=verify)
        lacking = {record: names for record, names in sent.lacking.items() if record not in sent.gone}
    else:
        there = store.records()
        sent = store.fetch()
        objects = store.fetch_objects(there - set(sent.lacking))
        sent.objects, lacking = objects.objects, sent.lacking | objects.lacking
    print(f"{action}ed {sent.records} runs, {sent.objects} objects")
    for record, names in lacking.items():
        what = versions.some(names) or "its record"
        print(f"incomplete: run {record.value[:12]}: missing, damaged or not copied: {what}")
    if sent.gone:
        print(f"{len(sent.gone)} runs were not sent: what they made is neither here nor there, as after dvc gc")
    if lacking:
        raise UserError(f"{len(lacking)} runs are not complete and were left out, see above")


if __name__ == "__main__":
    run(main)
