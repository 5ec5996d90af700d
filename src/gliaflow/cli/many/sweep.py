"""`gliaflow sweep`: experiments for sets of parameters, side by side."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Many, Switch, answer
from gliaflow.cli.repro import POOLS, Planned
from gliaflow.errors import SomeFailed, UserError

if TYPE_CHECKING:
    from gliaflow.experiments.results import Experiment, SweepReport


@dataclass(frozen=True)
class Flags(Planned):
    """The flags of `dvc repro` that an experiment may have, by its names."""

    pull: Switch = False
    """Fetch from the remote what is missing."""
    keep_going: Annotated[Switch, Parameter(alias="-k")] = False
    """After a failure, run all that does not depend on it, in the same experiment."""
    ignore_errors: Switch = False
    """After a failure, run even what depends on it, and keep the experiment."""


def sweep(
    *targets: str,
    set_param: Annotated[Many, Parameter(alias="-S")] = (),
    rows: Path | None = None,
    name: Annotated[str | None, Parameter(alias="-n")] = None,
    metric: str | None = None,
    minimize: Switch = False,
    figures: Path | None = None,
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    at_once: int | None = None,
    pools: Switch = False,
    executor: Many = (),
    copy_paths: Annotated[Many, Parameter(alias="-C")] = (),
    message: Annotated[str | None, Parameter(alias="-m")] = None,
    prefect: Annotated[bool, Parameter(negative="--no-prefect", show_default=False)] = True,
    quiet: Annotated[Switch, Parameter(alias="-q")] = False,
    flags: Annotated[Flags, Parameter(name="*")] = Flags(),
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Make a DVC experiment of every combination of parameters, side by side.

    The workspace stays as it is. What several experiments would run on the same data, one of them runs; what the
    run-cache knows, none. `dvc exp show` lists them, `dvc exp apply`, `branch` and `push` work on them. The same
    command again goes on where a sweep was ended.

    Example: gliaflow sweep -S train.lr=1e-3,2e-3 -S "split.fold=range(1,6)" --metric accuracy

    Args:
        targets: Stages, or paths of dvc.yaml or .dvc files; dvc.yaml by default.
        set_param: NAME=VALUE,VALUE or NAME=range(1,6), as `dvc exp run -S` takes it; may be repeated.
        rows: A file with a set of further parameters in each row: CSV, TSV, JSON, JSON Lines or YAML.
        name: What the names of the experiments begin with; by default DVC makes names up.
        metric: What to compare experiments by, as `dvc metrics show` calls it; the best one is marked.
        minimize: The smallest value of the metric is the best one.
        figures: An HTML file to write, with figures: parallel coordinates, and the metric against each parameter.
        jobs: How many CPUs stages may reserve at once; all by default.
        at_once: How many experiments are in work at once; by default one more than CPUs.
        pools: Send stages whose `meta` names a pool to the hosts of that work pool; as --executor pools.
        executor: Run stages on what a package brings under this name, if it accepts them; may be repeated.
        copy_paths: A file or folder that git does not track and experiments need; may be repeated.
        message: The message of the commits of the experiments.
        prefect: Tell the configured Prefect server of the runs, which is the default; `gliaflow ui` shows them anyway.
        quiet: Print errors alone.
        flags: Those of `dvc repro`.
    """
    from gliaflow import api
    from gliaflow.cli.many.board import Board
    from gliaflow.experiments.figures import check
    from gliaflow.experiments.grid import sets, varied

    if minimize and not metric:
        raise UserError("--minimize needs a metric: --metric NAME")
    if figures:
        check(figures)
    with answer(as_json) as tell:
        found = sets(set_param, rows)
        with Board(len(found), varied(found), metric, minimize, quiet) as board:
            ended = api.sweep(
                repo,
                set_param,
                targets,
                rows=rows,
                name=name,
                options=flags.options(),
                jobs=jobs,
                executors=list(dict.fromkeys([*([POOLS] if pools else []), *executor])),
                copy_paths=copy_paths,
                message=message,
                at_once=at_once,
                hear=board.hear,
                say=None if quiet else board.say,
                prefect=prefect,
            )
        best = ended.best(metric, minimize) if metric else None
        if figures:
            _draw(figures, ended, varied(found), metric)
        tell(_plain(ended, best), [])
        if not as_json and not quiet:
            _show(ended, varied(found), metric, minimize, best)
    if ended.failed:
        count = f"{len(ended.failed)} of {len(ended.experiments)} experiments failed"
        raise SomeFailed(f"{count}; the same command tries these again", all(one.user for one in ended.failed))


def _show(
    ended: "SweepReport", params: Sequence[str], metric: str | None, minimize: bool, best: "Experiment | None"
) -> None:
    from rich.console import Console

    from gliaflow.cli.many.board import failures, ordered, table
    from gliaflow.experiments.results import telling

    done = [one for one in ended.experiments if one not in ended.failed]
    names = [metric] if metric else telling(done)
    Console(highlight=False).print(table(ordered(ended.experiments, metric, minimize), params, names, metric, minimize))
    for line in failures(ended.failed):
        print(line)
    if metric and best is None:
        print(f"no experiment has a metric '{metric}'")
    elif best:
        print(f"the best {metric} is that of {best.name}; to have it here: dvc exp apply {best.name}")


def _draw(figures: Path, ended: "SweepReport", params: Sequence[str], metric: str | None) -> None:
    from gliaflow.experiments.figures import write
    from gliaflow.experiments.results import telling

    chosen = metric or next(iter(telling(ended.experiments)), "")
    write(figures, ended.experiments, params, chosen)


def _plain(ended: "SweepReport", best: "Experiment | None") -> dict[str, Any]:
    """For a program."""
    chosen = {"best": best.name} if best else {}
    return {"experiments": [one.plain() for one in ended.experiments], **chosen}
