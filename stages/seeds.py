"""Comparisons over seeds: which seeds there may be, and how sure a mean over them is."""

import math
from typing import Annotated, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, Field
from scipy.special import stdtrit


def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    if len(set(seeds)) < len(seeds):
        raise ValueError("a seed stands in it twice")
    return seeds


Seeds: TypeAlias = Annotated[
    tuple[Annotated[int, Field(ge=0, lt=2**32)], ...], Field(min_length=3), AfterValidator(_distinct)
]
"""A parameter: at least three seeds, all different."""


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


def interval(values: NDArray[np.float64]) -> Interval:
    """The mean of at least two independent draws, ± t · s / √n.

    t is the 97.5 % point of Student's distribution with n − 1 degrees of freedom, s the standard deviation of the draws
    with n − 1 below the sum of squares (Student 1908, "The probable error of a mean").
    """
    mean, n = float(np.mean(values)), len(values)
    half = float(stdtrit(n - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half)
