"""`gliaflow search`: the best parameters of a stage, by evolution on warm workers."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Many, Switch, answer
from gliaflow.errors import SomeFailed, UserError

if TYPE_CHECKING:
    from gliaflow.experiments.results import Experiment
    from gliaflow.experiments.search.generations import SearchReport

SHOWN = 10  # of the best individuals


def search(
    stage: str,
    space: Path,
    /,
    *,
    metric: str,
    minimize: Switch = False,
    population: int = 20,
    generations: int = 5,
    mutation: float | None = None,
    crossover: str = "uniform",
    crossover_probability: float = 0.9,
    seed: int = 0,
    rung: Annotated[tuple[int, ...], Parameter(negative="", show_default=False)] = (),
    kept: float = 1 / 3,
    name: Annotated[str | None, Parameter(alias="-n")] = None,
    target: Many = (),
    experiment: Annotated[bool, Parameter(negative="--no-experiment", show_default=False)] = True,
    figures: Path | None = None,
    jobs: Annotated[int | None, Parameter(alias="-j")] = None,
    pull: Switch = False,
    copy_paths: Annotated[Many, Parameter(alias="-C")] = (),
    prefect: Annotated[bool, Parameter(negative="--no-prefect", show_default=False)] = True,
    quiet: Annotated[Switch, Parameter(alias="-q")] = False,
    repo: Folder = Path(),
    as_json: Json = False,
) -> None:
    """Find the best parameters of a stage by evolution; the best become a DVC experiment.

    The stage names a module under `meta: {search: MODULE}`, with `load(params)` and `train(data, params)`. Workers keep
    libraries, device and data, one for each GPU, or else for each CPU. The workspace stays as it is. The same command
    again goes on where a search was ended.

    Example: gliaflow search train space.yaml --metric accuracy --population 20 --generations 5 --rung 1 --rung 3

    Args:
        stage: The stage whose parameters vary.
        space: A YAML or JSON file: `train.lr: {low: 1e-4, high: 1e-1, log: true}`, `train.name: [adam, sgd]`.
        metric: What `train` yields under this name after each epoch; the last one counts.
        minimize: The smallest value of the metric is the best one.
        population: How many individuals a generation has.
        generations: How many generations there are.
        mutation: The probability that a parameter of a child is drawn anew; 1 / the number of parameters by default.
        crossover: How two parents make a child: uniform, blxalpha, sbx, vsbx, spx or undx.
        crossover_probability: The probability that a child has two parents, and not one.
        seed: Of all draws; the same seed leads to the same individuals.
        rung: Epochs after which the poorer individuals are given up; may be repeated, each more than the last.
        kept: The part of those that reach a rung which goes on.
        name: The name of the experiment; by default DVC makes one up.
        target: What the experiment of the best parameters reproduces; the stage by default; may be repeated.
        experiment: Make an experiment of the best parameters, which is the default.
        figures: An HTML file to write, with figures: history, importance, and the space.
        jobs: How many CPU slots workers may hold at once; all by default.
        pull: Fetch from the remote what is missing of what the stage reads.
        copy_paths: A file or folder that git does not track and the stage needs; may be repeated.
        prefect: Tell the configured Prefect server of the generations, which is the default.
        quiet: Print errors alone.
    """
    from gliaflow import api
    from gliaflow.cli.many.board import Board
    from gliaflow.experiments.figures import check
    from gliaflow.experiments.search.evolution import EvolutionOptions
    from gliaflow.experiments.search.generations import Halving
    from gliaflow.experiments.search.space import read

    if figures:
        check(figures)
    names = [one.name for one in read(space)]
    evolution = EvolutionOptions(population, generations, mutation, crossover, crossover_probability, seed)
    with answer(as_json) as tell:
        with Board(population * generations, names, metric, minimize, quiet, what="individuals") as board:
            found = api.search(
                stage,
                space,
                metric,
                repo,
                minimize=minimize,
                evolution=evolution,
                halving=Halving(rung, kept),
                jobs=jobs,
                pull=pull,
                copy_paths=copy_paths,
                hear=board.hear,
                say=None if quiet else board.say,
                prefect=prefect,
            )
        if figures:
            _draw(figures, found)
        made = None
        if found.best and experiment:
            made = _experiment(found, repo, target or (stage,), name, copy_paths, jobs, prefect)
        tell({**found.plain(), **({"experiment": made.plain()} if made else {})}, [])
        if not as_json and not quiet:
            _show(found, names, metric, minimize, made)
    if not found.best:
        why = found.individuals[0].error or "see what `train` yields"
        raise UserError(f"no individual has a number for '{metric}': {why}")
    if made and not made.rev:
        raise SomeFailed(f"the experiment of the best parameters failed: {made.error}", made.user)


def _experiment(
    found: "SearchReport",
    repo: Path,
    targets: tuple[str, ...],
    name: str | None,
    copy_paths: tuple[str, ...],
    jobs: int | None,
    prefect: bool,
) -> "Experiment":
    """The best parameters as an experiment."""
    from gliaflow import api
    from gliaflow.experiments.grid import DEFAULT, literal

    assert found.best
    file = "" if found.params == DEFAULT else f"{found.params}:"
    params = [f"{file}{key}={literal(value)}" for key, value in found.best.values.items()]
    swept = api.sweep(repo, params, targets, name=name, copy_paths=copy_paths, jobs=jobs, prefect=prefect)
    return swept.experiments[0]


def _show(found: "SearchReport", names: list[str], metric: str, minimize: bool, made: "Experiment | None") -> None:
    from rich.console import Console

    from gliaflow.cli.many.board import ordered, table

    best = ordered(found.experiments(), metric, minimize)[:SHOWN]
    Console(highlight=False).print(table(best, names, [metric, "epochs"], metric, minimize))
    print(f"trained {found.trained} individuals for {found.epochs} epochs; {len(found.individuals)} were asked for")
    if made and made.rev:
        print(f"the best became experiment {made.name}; to have it here: dvc exp apply {made.name}")


def _draw(figures: Path, found: "SearchReport") -> None:
    from gliaflow.experiments.figures import write_study

    write_study(figures, found.study, found.goal.metric)
