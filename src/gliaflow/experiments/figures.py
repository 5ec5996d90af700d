"""Figures of experiments, as one page of HTML that needs no network: parallel coordinates, and each parameter."""

import math
import warnings
from collections.abc import Sequence
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from gliaflow.errors import UserError
from gliaflow.experiments.results import Experiment

WIDE = 20.0  # the largest value over the smallest, from which an axis is logarithmic
MOST_TICKS = 8
HEIGHT_PX = 420
COLOURS = "Viridis"
PAGE = """\
<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; margin: 1.5em; max-width: 1200px }}</style></head>
<body><h1>{title}</h1>
{figures}
</body></html>
"""


class Axis(NamedTuple):
    """The values of one parameter or metric, as numbers to be drawn."""

    values: list[float]
    ticks: list[float] | None = None
    """Where something is written, if that is not for the drawing library to choose."""
    texts: list[str] | None = None


def axis(texts: Sequence[str]) -> Axis:
    """An axis for values as text: numbers, logarithmic ones if they reach far, or else names in their order."""
    numbers = [number for text in texts if (number := _number(text)) is not None]
    if len(numbers) < len(texts):
        names = list(dict.fromkeys(texts))
        return Axis([float(names.index(text)) for text in texts], [float(n) for n in range(len(names))], names)
    single = sorted(set(numbers))
    scale = math.log10 if single and single[0] > 0 and single[-1] / single[0] >= WIDE else float
    if len(single) > MOST_TICKS and scale is float:
        return Axis(numbers)
    ticks = single[:: max(len(single) // MOST_TICKS, 1)]
    return Axis([scale(one) for one in numbers], [scale(one) for one in ticks], [f"{one:g}" for one in ticks])


def check(path: Path) -> None:
    """Look for what keeps the page from being written, before anything runs.

    Raises:
        UserError: plotly is not installed, or there is no folder for the page.
    """
    if find_spec("plotly") is None:
        raise UserError("figures are drawn by plotly, which is not here: pip install 'gliaflow[search]'")
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(f"--figures {path}: name an HTML file in a folder that is there")


def write(path: Path, found: Sequence[Experiment], params: Sequence[str], metric: str) -> None:
    """Write the page: one line and one point for each experiment that has the metric.

    Raises:
        UserError: the page cannot be written, or no experiment has the metric.
    """
    import plotly.graph_objects as go

    scored = [(one, score) for one in found if (score := one.score(metric)) is not None]
    if not scored:
        raise UserError(f"--figures {path}: no experiment has a metric '{metric}'")
    ones, scores = [one for one, _ in scored], [score for _, score in scored]
    axes = {name: axis([one.params.get(name, "") for one in ones]) for name in params}
    against = [_against(go, name, one, ones, scores, metric) for name, one in axes.items()]
    _write_page(path, f"{metric} of {len(ones)} experiments", [_parallel(go, axes, scores, metric), *against])


def write_study(path: Path, study: Any, metric: str) -> None:
    """Write the page of a search: its history, which parameters matter, and the space.

    Raises:
        UserError: the page cannot be written, or no individual has a score.
    """
    import optuna

    trials = [one for one in study.trials if one.value is not None and math.isfinite(one.value)]
    if not trials:
        raise UserError(f"--figures {path}: no individual has a number for '{metric}'")
    shown = optuna.create_study(direction=study.direction)
    shown.add_trials(trials)
    draw, many = optuna.visualization, len({*map(str, (one.params for one in trials))}) > 1
    figures = [draw.plot_optimization_history(shown, target_name=metric)]
    if many:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figures.append(draw.plot_param_importances(shown, evaluator=evaluator, target_name=metric))
    figures += [draw.plot_parallel_coordinate(shown, target_name=metric), draw.plot_slice(shown, target_name=metric)]
    _write_page(path, f"{metric} of {len(trials)} individuals", figures)


def _write_page(path: Path, title: str, figures: Sequence[Any]) -> None:
    import plotly.io as pio

    drawn = [pio.to_html(one, full_html=False, include_plotlyjs=not place) for place, one in enumerate(figures)]
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(PAGE.format(title=escape(title), figures="\n".join(drawn)), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise UserError(f"--figures {path}: {error.strerror}") from None


def _parallel(go: Any, axes: dict[str, Axis], scores: list[float], metric: str) -> Any:
    """Each experiment as a line through its parameters to the metric, which colours it."""
    dimensions = [
        {"label": name, "values": one.values, **({"tickvals": one.ticks, "ticktext": one.texts} if one.ticks else {})}
        for name, one in axes.items()
    ]
    line = {"color": scores, "colorscale": COLOURS, "showscale": True}
    drawn = go.Parcoords(line=line, dimensions=[*dimensions, {"label": metric, "values": scores}])
    return go.Figure(drawn).update_layout(height=HEIGHT_PX, margin={"l": 90, "r": 60})


def _against(go: Any, name: str, one: Axis, found: Sequence[Experiment], scores: list[float], metric: str) -> Any:
    """The metric against one parameter, with the name of the experiment at each point."""
    points = go.Scatter(x=one.values, y=scores, mode="markers", text=[e.name for e in found], marker={"size": 9})
    figure = go.Figure(points).update_layout(height=HEIGHT_PX, xaxis_title=name, yaxis_title=metric)
    return figure.update_xaxes(tickvals=one.ticks, ticktext=one.texts) if one.ticks else figure


def _number(text: str) -> float | None:
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) else None
