"""The figures of the regression stages. Slopes, x and y are dimensionless.

Shapes: N points; `table` is points.csv with N rows, x ascending.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.regression import bayes
from stages.regression.bayes import Floats, Line
from stages.regression.points import Noise

SEEN = (0, 1, 3, 10, 100)  # points after which a belief is drawn
SHADES = ("#b3b3b3", "#fdb863", "#e08214", "#b35806", "#542788")  # a colour for each
BROAD = 10.0  # standard deviation of the prior of the intercept, where that of the slope is not flat
DPI = 120


def points(noise: Noise, table: pd.DataFrame) -> Figure:
    """The noisy data alone."""
    figure, axes = _canvas()
    _scatter(axes, table)
    axes.set_title(f"{len(table)} simulated points, {noise} noise")
    axes.legend()
    return figure


def fit(noise: Noise, table: pd.DataFrame, mean: Floats, sigma: Floats) -> Figure:
    """The data, the true line and the predicted `mean` (N,); for growing noise also two `sigma` (N,) to either side."""
    figure, axes = _canvas()
    _scatter(axes, table)
    axes.plot(table["x"], table["true_mean"], "--", color="black", label="true line")
    axes.plot(table["x"], mean, color="C3", label="predicted mean")
    if noise == "growing":
        band = "predicted mean ± 2 standard deviations"
        axes.fill_between(table["x"], mean - 2 * sigma, mean + 2 * sigma, color="C3", alpha=0.15, label=band)
    axes.set_title(f"Model of {noise} noise, on the points that it was fitted to")
    axes.legend(loc="upper left")
    return figure


def priors(noise: Noise, table: pd.DataFrame, order: NDArray[np.int64], slope_sds: dict[str, float]) -> Figure:
    """How each prior of the slope, Normal(0, sd²), moves towards the data as the points arrive in `order` (N,).

    The noise is known. An infinite sd stands for a flat prior, of the intercept too.
    """
    seen = table.iloc[order]
    likelihood = _belief(seen, np.inf, len(seen))
    highest = bayes.mode(likelihood).slope
    grid = _grid(highest, bayes.spread(likelihood).slope)
    figure = Figure(figsize=(5 * len(slope_sds), 4.5), layout="constrained")
    known = (
        f"Not of the trained model: the noise is known, the intercept's prior flat or of standard deviation {BROAD:g}"
    )
    figure.suptitle(f"What is believed of the slope as the points arrive, {noise} noise\n{known}")
    panels = figure.subplots(1, len(slope_sds), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (name, sd) in zip(panels, slope_sds.items(), strict=True):
        _densities(axes, seen, sd, grid)
        axes.axvline(highest, linestyle=":", color="black", label="maximum of the likelihood of all points")
        size = f"{sd:g}" if np.isfinite(sd) else "∞"
        axes.set(title=f"{name} prior, standard deviation {size}", xlabel="slope of the line (dimensionless)")
    lines, labels = max((axes.get_legend_handles_labels() for axes in panels), key=lambda entries: len(entries[1]))
    figure.legend(lines, labels, loc="outside lower center", ncols=len(labels), fontsize="small")
    panels[0].set_ylabel("probability density of the slope")
    return figure


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without the version of the software that drew it."""
    figure.savefig(path, format="png", dpi=DPI, metadata={"Software": None})


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.set(xlabel="x (dimensionless)", ylabel="y (dimensionless)")
    return figure, axes


def _scatter(axes: Axes, table: pd.DataFrame) -> None:
    axes.scatter(table["x"], table["y"], s=14, color="C0", label="noisy data")


def _densities(axes: Axes, seen: pd.DataFrame, slope_sd: float, grid: Floats) -> None:
    for count, shade in zip(SEEN, SHADES, strict=True):
        belief = _belief(seen, slope_sd, count)
        if np.linalg.matrix_rank(belief.precision) == len(belief.precision):  # else improper: no density to draw
            axes.plot(grid, _density(belief, grid), color=shade, label=f"after {count} point{'s' * (count != 1)}")


def _belief(seen: pd.DataFrame, slope_sd: float, count: int) -> bayes.Belief:
    prior = bayes.prior(Line(0.0, 0.0), Line(slope_sd, BROAD if np.isfinite(slope_sd) else np.inf))
    x, y, sigma = (seen[name].to_numpy()[:count] for name in ("x", "y", "true_sigma"))
    return bayes.update(prior, x, y, sigma)


def _grid(slope: float, sd: float) -> Floats:
    """Slopes from well below the smaller of 0 and `slope` to well above the greater."""
    margin = 0.75 * abs(slope) + 5 * sd
    return np.linspace(min(0.0, slope) - margin, max(0.0, slope) + margin, 1001)


def _density(belief: bayes.Belief, slopes: Floats) -> Floats:
    mean, sd = bayes.mode(belief).slope, bayes.spread(belief).slope
    return np.exp(bayes.log_likelihood(slopes, np.asarray(mean), np.asarray(sd)))
