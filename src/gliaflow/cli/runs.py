"""`gliaflow logs`, `report` and `ui`: what runs printed, a page of one run, and all of them on Prefect's pages."""

import time
import webbrowser
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Switch, answer
from gliaflow.errors import UserError

if TYPE_CHECKING:
    from gliaflow.journal.reader import RunSeen, StageRun

STATES = {
    "running": "goes on",
    "completed": "is complete",
    "failed": "failed",
    "cancelled": "was cancelled",
    "crashed": "was killed",
}
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

    every = _kept(repo)
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


def report(
    run: str | None = None,
    *,
    out: Annotated[Path, Parameter(alias="-o")] = Path("run.html"),
    browse: Annotated[Switch, Parameter(name="--open")] = False,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Write one page that tells of a run, the newest by default. It needs no network.

    It has the graph, a timeline with the critical path, why each stage ran, and what it used. It has metrics, figures
    and plots too, the versions of code, data and packages, and how to get the same again.

    Example: gliaflow report -o run.html

    Args:
        run: The run, as `gliaflow logs --list` calls it, or the beginning of its name.
        out: The file that is written.
        browse: Open the page in a browser.
    """
    from gliaflow.page.page import write

    every = _kept(repo)
    path, _ = _chosen(every, None, ())
    if run is not None:
        meant = [one for one in every if one.stem.startswith(run)] if run else []
        if not meant:
            raise UserError(f"no run is called '{run}'; `gliaflow logs --list` lists the runs")
        path = meant[-1]
    with answer(as_json) as tell:
        told = write(path, out)
        plain = {"run": told.name, "state": told.seen.state, "page": str(out), "bytes": out.stat().st_size}
        tell(plain, [f"{out} tells of the run {told.name}, which {STATES[told.seen.state]}"])
    if browse:
        webbrowser.open(out.absolute().as_uri())


def used(repo: Path, stages: tuple[str, ...], as_json: bool) -> None:
    """Tell what the stages of the newest run used, those that ran commands, next to what they asked for.

    Raises:
        UserError: no run is kept here, or it has no such stage.
    """
    from gliaflow.journal import reader

    path, _ = _chosen(_kept(repo), None, ())
    if unknown := [name for name in stages if name not in reader.names(path)]:
        raise UserError(f"no stage of the run {path.stem} is called {unknown[0]!r}; `gliaflow logs --list` lists runs")
    found = [one for one in reader.seen(path).stages.values() if one.used and one.address in (stages or {one.address})]
    with answer(as_json) as tell:
        tell([_measured(one) for one in found], _table(found) if found else [f"no stage of {path.stem} ran commands"])


def _measured(one: "StageRun") -> dict[str, object]:
    """For a program."""
    assert one.used
    asked = {"asked": asdict(one.asked)} if one.asked else {}
    return {"stage": one.address, "outcome": one.outcome.lower(), "used": asdict(one.used), **asked}


def _table(found: "list[StageRun]") -> Iterator[str]:
    """For a person: what was used, and in brackets what was asked for."""
    from gliaflow.core.settings import human

    rows = [["stage", "wall", "CPU", "memory", "GPU memory", "read", "written"]]
    for one in found:
        used, asked = one.used, one.asked
        assert used
        busy = f"{used.cpu_seconds:.1f} s" + (f" ({asked.cpus} CPUs)" if asked and asked.cpus > 1 else "")
        memory = human(used.peak_bytes) + (f" ({human(asked.mem_bytes)})" if asked and asked.mem_bytes else "")
        others = [
            "-" if size is None else human(size) for size in (used.gpu_bytes, used.read_bytes, used.written_bytes)
        ]
        rows.append([one.address, f"{used.wall_seconds:.1f} s", busy, memory, *others])
    kept = [n for n, column in enumerate(zip(*rows, strict=True)) if any(cell != "-" for cell in column[1:])]
    widths = {n: max(len(row[n]) for row in rows) for n in kept}
    for row in rows:
        yield "  ".join(row[n].ljust(widths[n]) if n == 0 else row[n].rjust(widths[n]) for n in kept).rstrip()


def _kept(repo: Path) -> list[Path]:
    """The journals of the repository that the folder lies in, the oldest first."""
    from gliaflow.journal.folder import folder, journals

    where = folder(repo)
    return journals(where) if where else []


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
