"""A line through noisy points in closed form: least squares, and the exact posterior under a Gaussian prior.

The line is intercept + slope·x; vectors and matrices over the two hold the intercept first. With known noise σᵢ a
Gaussian prior is conjugate. Writing a Gaussian N(m, S) by its precision Λ = S⁻¹ and shift η = Λm, posterior ∝
likelihood · prior is an addition (Bishop, Pattern Recognition and Machine Learning, 2006, equations 3.50 and 3.51,
there with one σ for all points):

    Λ ← Λ + Σᵢ φᵢφᵢᵀ/σᵢ²     η ← η + Σᵢ φᵢyᵢ/σᵢ²     φᵢ = (1, xᵢ)

Shapes: N points, 2 parameters of the line.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Line(NamedTuple):
    """intercept + slope·x."""

    slope: float
    intercept: float


class Belief(NamedTuple):
    """A Gaussian over (intercept, slope) by its natural parameters; all zeros is the flat, improper one."""

    precision: Floats  # (2, 2)
    shift: Floats  # (2,)


def least_squares(x: Floats, y: Floats) -> Line:
    """Ordinary least squares of `y` (N,) on `x` (N,): the maximum likelihood under any constant noise."""
    deviation = x - x.mean()
    slope = float((deviation * y).sum() / (deviation**2).sum())
    return Line(slope, float(y.mean()) - slope * float(x.mean()))


def log_likelihood(y: Floats, mean: Floats, sigma: Floats) -> Floats:
    """ln Normal(y; mean, sigma²) of each value, in nats."""
    return np.asarray(-0.5 * np.log(2 * np.pi) - np.log(sigma) - 0.5 * ((y - mean) / sigma) ** 2)


def prior(mean: Line, sd: Line) -> Belief:
    """Independent Gaussians about `mean`; an infinite `sd` is a flat prior."""
    precision = np.diag([sd.intercept**-2.0, sd.slope**-2.0])
    return Belief(precision, precision @ np.array([mean.intercept, mean.slope]))


def update(belief: Belief, x: Floats, y: Floats, sigma: Floats) -> Belief:
    """The posterior after the points `x`, `y` (N,) with known noise `sigma` (N,); in any order, in any portions."""
    features = np.stack([np.ones_like(x), x], axis=1)  # (N, 2)
    weighted = features / sigma[:, None] ** 2  # (N, 2)
    return Belief(belief.precision + features.T @ weighted, belief.shift + weighted.T @ y)


def mode(belief: Belief) -> Line:
    """The line of greatest density, which for a Gaussian is also its mean.

    Raises:
        numpy.linalg.LinAlgError: the belief is improper: flat in some direction.
    """
    intercept, slope = np.linalg.solve(belief.precision, belief.shift)
    return Line(float(slope), float(intercept))


def spread(belief: Belief) -> Line:
    """The standard deviation of each parameter, the other integrated out.

    Raises:
        numpy.linalg.LinAlgError: the belief is improper.
    """
    intercept, slope = np.sqrt(np.diag(np.linalg.inv(belief.precision)))
    return Line(float(slope), float(intercept))
