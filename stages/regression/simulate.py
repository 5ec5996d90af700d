"""Draw noisy points about a line, with noise that is constant or grows with x.

Out: points.csv, one row a point, columns `x,y,true_mean,true_sigma`, x ascending. N = 100 points at x = 0, 0.1, …, 9.9;
y ~ Normal(true_mean, true_sigma²), where true_mean = slope·x + intercept. All are dimensionless.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.params import STRICT_KEYS, load
from stages.regression.points import Noise, Positive, write_points

POINTS = 100
POINTS_PER_UNIT = 10  # of x

Finite = Annotated[float, Field(ge=-1e6, le=1e6)]


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class ConstantNoise:
    """Noise of the same size everywhere."""

    sigma: Positive
    """Standard deviation of y about the line."""


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class GrowingNoise:
    """Noise of standard deviation slope·x + intercept."""

    slope: Positive
    """Rise of the standard deviation for each unit of x."""
    intercept: Positive
    """Standard deviation at x = 0."""


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class SimulateParams:
    """Section `regression.simulate`."""

    seed: Annotated[int, Field(ge=0)]
    """Seeds the standard normal draws, which both noises scale by their σ(x)."""
    slope: Finite
    """Of the true line."""
    intercept: Finite
    """Of the true line."""
    constant: ConstantNoise
    """The noise called constant."""
    growing: GrowingNoise
    """The noise called growing."""


def simulate(noise: Noise, params: SimulateParams, generator: np.random.Generator) -> pd.DataFrame:
    """Draw one y from each x: a table of N = 100 rows with the columns of points.csv, x ascending."""
    x = np.arange(POINTS) / POINTS_PER_UNIT  # (N,)
    mean = params.slope * x + params.intercept
    if noise == "constant":
        sigma = np.full(POINTS, params.constant.sigma)
    else:
        sigma = params.growing.slope * x + params.growing.intercept
    y = generator.normal(mean, sigma)
    return pd.DataFrame({"x": x, "y": y, "true_mean": mean, "true_sigma": sigma})


def main(noise: Noise, *, points: Path) -> None:
    """Draw 100 points about a line with NOISE, constant or growing with x, into the table POINTS.

    Parameters: regression.simulate of params.yaml.
    """
    params = load(SimulateParams, "regression.simulate")
    table = simulate(noise, params, np.random.default_rng(params.seed))
    with staged(points) as (points_partial,):
        write_points(table, points_partial)


if __name__ == "__main__":
    run(main)
