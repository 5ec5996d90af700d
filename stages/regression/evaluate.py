"""Judge a fitted model on the points that it was fitted to, beside ordinary least squares, and draw both.

In: points.csv and the weights of the model. Out: metrics (JSON) and a folder of figures (PNG). It is a toy: training
and test points are the same, which every metric's name says. Slopes, intercepts and σ are dimensionless, negative
log-likelihoods (NLL) are in nats a point. The model of constant noise has σ = 1 by definition, whatever the noise, so
only its line is to be compared; least squares takes the root mean square of its residuals for σ.

A fit that falls short is judged, and the user warned, but it is scored like any other: so it can be compared.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput
from stages.params import STRICT_KEYS, load
from stages.regression import models
from stages.regression.bayes import least_squares, log_likelihood
from stages.regression.points import Noise, Positive, read_points

SLOPE_TOLERANCE = 0.1
INTERCEPT_TOLERANCE = 0.3
PREFIX = "training_points_"
FITS = f"{PREFIX}fit_is_good"
"""The metric that holds the verdict."""


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class EvaluateParams:
    """Section `regression.evaluate`."""

    seed: Annotated[int, Field(ge=0)]
    """Of the order in which the points reach the Bayesian posterior."""
    weak_prior: Positive
    """Standard deviation, about 0, of the slope's weak prior."""
    strong_prior: Positive
    """Standard deviation, about 0, of the slope's strong prior."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads; the bits of the results may depend on it."""


def evaluate(noise: Noise, points: pd.DataFrame, model: Any) -> dict[str, float]:
    """The metrics of `model`; for growing noise also whether its σ rises with x, and from what to what.

    Raises:
        BadInput: the model gives something else than numbers.
    """
    x, y = points["x"].to_numpy(), points["y"].to_numpy()
    mean, sigma = models.predict(model, x)
    line, least = models.line(model), least_squares(x, y)
    if not np.isfinite([*line, *mean, *sigma]).all():
        raise BadInput(
            f"{noise} noise: no finite numbers, the model's line is {line.slope}·x + {line.intercept}; train it again"
        )
    least_mean = least.slope * x + least.intercept
    least_sigma = np.sqrt(np.mean((y - least_mean) ** 2))
    metrics = {
        "model_slope": line.slope,
        "model_intercept": line.intercept,
        "least_squares_slope": least.slope,
        "least_squares_intercept": least.intercept,
        "slope_difference": line.slope - least.slope,
        "intercept_difference": line.intercept - least.intercept,
        "model_mean_nll": -float(log_likelihood(y, mean, sigma).mean()),
        "least_squares_mean_nll": -float(log_likelihood(y, least_mean, least_sigma).mean()),
    }
    if noise == "growing":
        metrics |= {"sigma_first": sigma[0], "sigma_last": sigma[-1], "sigma_rises": bool(sigma[0] < sigma[-1])}
    named = {f"{PREFIX}{name}": value for name, value in metrics.items()}
    return {"training_points": len(points), **named, FITS: shortfall(noise, named) is None}


def shortfall(noise: Noise, metrics: dict[str, float]) -> str | None:
    """What the fit with these `metrics` lacks, if anything.

    The line of constant noise must be within 0.1 in slope and 0.3 in intercept of least squares, which is its maximum
    likelihood. With growing noise σ must rise, and the NLL be below that of least squares.
    """
    metrics = {name.removeprefix(PREFIX): value for name, value in metrics.items()}
    if noise == "constant":
        slope, intercept = metrics["slope_difference"], metrics["intercept_difference"]
        if abs(slope) <= SLOPE_TOLERANCE and abs(intercept) <= INTERCEPT_TOLERANCE:
            return None
        return (
            f"the fitted line is off least squares by {slope:.3g} in slope (at most {SLOPE_TOLERANCE}) "
            f"and {intercept:.3g} in intercept (at most {INTERCEPT_TOLERANCE})"
        )
    if not metrics["sigma_rises"]:
        return f"the fitted σ does not rise with x ({metrics['sigma_first']:.3g} to {metrics['sigma_last']:.3g})"
    model, least = metrics["model_mean_nll"], metrics["least_squares_mean_nll"]
    return None if model < least else f"the mean NLL of the fit, {model:.4g}, is not below least squares' {least:.4g}"


def main(noise: Noise, points: Path, model: Path, *, metrics: Path, figures: Path) -> None:
    """Compare MODEL with least squares on the POINTS that it was fitted to; write METRICS and the folder FIGURES.

    Parameters: regression.evaluate of params.yaml.
    """
    from stages.regression import figures as drawing

    params = load(EvaluateParams, "regression.evaluate")
    models.prepare(params.threads)
    table = read_points(points)
    fitted = models.restore(noise, model)
    results = evaluate(noise, table, fitted)
    mean, sigma = models.predict(fitted, table["x"].to_numpy())
    order = np.random.default_rng(params.seed).permutation(len(table))
    priors = {"flat": np.inf, "weak": params.weak_prior, "strong": params.strong_prior}
    with staged(metrics, figures) as (metrics_partial, figures_partial):
        metrics_partial.write_text(json.dumps(results, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        figures_partial.mkdir()
        drawing.save(drawing.points(noise, table), figures_partial / "points.png")
        drawing.save(drawing.fit(noise, table, mean, sigma), figures_partial / "fit.png")
        drawing.save(drawing.priors(noise, table, order, priors), figures_partial / "priors.png")
    if lack := shortfall(noise, results):
        advice = "raise regression.train.epochs or change its learning_rate"
        print(f"warning: {noise} noise: {lack}; {FITS} is false; {advice}", file=sys.stderr)


if __name__ == "__main__":
    run(main)
