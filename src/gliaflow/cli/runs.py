"""`gliaflow logs` and `gliaflow ui`: what runs printed, and every run of this machine on Prefect's pages."""

import time
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Switch, answer
from gliaflow.errors import UserError

if TYPE_CHECKING:
    from gliaflow.journal.reader import RunSeen

LOOK_SECONDS = 1.0  # between two looks for what runs have told meanwhile


def ui(*, browse: Annotated[Switch, Parameter(name="--open")] = False) -> None:
    """Show Prefect's pages, with every run of this machine, until Ctrl-C.

    Runs keep journals, which are brought in here; runs that go on are shown as they go. Where PREFECT_API_URL or a
    profile names a server, that server is told of the runs which could not reach it, and its address is printed.

    Example: gliaflow ui --open

    Args:
        browse: Open the pages in a browser.
    """
    from gliaflow.export.client import Unreachable
    from gliaflow.flow.pages import pages
    from gliaflow.journal.folder import home

    with suppress(KeyboardInterrupt), pages(home()) as shown:
        print(f"{shown.url} (Ctrl-C ends it)" if shown.ours else shown.url, flush=True)
        if browse:
            webbrowser.open(shown.url)
        wrong = ""
        while True:
            try:
                if found := shown.look():
                    print(f"{found} run{'s' if found > 1 else ''} brought in", flush=True)
                wrong = ""
            except Unreachable as error:
                if str(error) != wrong:
                    wrong = str(error)
                    print(f"not all runs are brought in yet: {wrong}", flush=True)
            if not shown.ours:
                break
            time.sleep(LOOK_SECONDS)


def logs(
    run: str | None = None,
    *stages: str,
    listed: Annotated[Switch, Parameter(name="--list")] = False,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Print the lines of the stages of a run, the newest by default.

    A first word that names no run names a stage of the newest.

    Example: gliaflow logs train

    Args:
        run: The run, as --list calls it, or the beginning of its name.
        stages: Of which stages; of all by default.
        listed: List the runs whose lines are kept here, the newest last.
    """
    from gliaflow.journal import reader
    from gliaflow.journal.folder import folder, journals

    where = folder(repo)
    every = journals(where) if where else []
    with answer(as_json) as tell:
        if listed:
            found = [reader.seen(path) for path in every]
            tell([_plain(one) for one in found], map(_row, found))
            return
        path, wanted = _chosen(every, run, stages)
        lines = reader.lines(path, set(wanted) or None)
        if as_json:
            tell([{"stage": stage, "text": text} for stage, text in lines], [])
        else:
            tell(None, (text if len(wanted) == 1 else f"{stage} | {text}" for stage, text in lines))


def _chosen(every: list[Path], run: str | None, stages: tuple[str, ...]) -> tuple[Path, tuple[str, ...]]:
    """The journal that is meant, and the stages of it.

    Raises:
        UserError: there is none, or no such stage.
    """
    from gliaflow.journal import reader

    if not every:
        raise UserError("no run has been kept here yet: `gliaflow repro` keeps one when something has to be done")
    meant = [path for path in every if run and path.stem.startswith(run)]
    path = meant[-1] if meant else every[-1]
    wanted = stages if meant or run is None else (run, *stages)
    known = reader.names(path)
    if unknown := [name for name in wanted if name not in known]:
        what = f"no run is called '{run}', and no stage" if not meant and run in unknown else "no stage"
        raise UserError(
            f"{what} of the run {path.stem} is called {unknown[0]!r}; its stages are {', '.join(known)}"
            "; `gliaflow logs --list` lists the runs"
        )
    return path, wanted


def _plain(one: "RunSeen") -> dict[str, object]:
    """For a program."""
    return {
        "run": one.path.stem,
        "state": one.state,
        "began": one.began,
        "seconds": one.seconds,
        "stages": {stage.address: stage.outcome.lower() or "running" for stage in one.stages.values()},
    }


def _row(one: "RunSeen") -> str:
    """For a person."""
    began = datetime.fromtimestamp(one.began).astimezone()
    return f"{one.path.stem}  {began:%Y-%m-%d %H:%M:%S}  {one.state:<9}  {one.seconds:7.1f} s  {_counts(one)}"


def _counts(one: "RunSeen") -> str:
    return ", ".join(_parts(one)) or "no stage ended"


def _parts(one: "RunSeen") -> Iterator[str]:
    from gliaflow.core.report import Outcome

    for outcome in Outcome:
        if number := sum(stage.outcome == outcome.name for stage in one.stages.values()):
            yield f"{number} {outcome.value}"
