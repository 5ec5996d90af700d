"""Intervals against tables and by simulation, and seeds that are refused."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from stages.seeds import Seeds, interval


@pytest.mark.parametrize(
    ("values", "mean", "half"),
    [
        ([1, 2, 3], 2, 4.302653 / 3**0.5),  # t of 2 degrees of freedom, from a table
        ([0, 1], 0.5, 12.706205 / 2),
        ([5, 5, 5, 5], 5, 0),
        ([0, 0, 0, 0, 10], 2, 2.776445 * 20**0.5 / 5**0.5),
    ],
)
def test_the_interval_by_hand(values: list[float], mean: float, half: float) -> None:
    assert interval(np.array(values, float)) == pytest.approx((mean, mean - half, mean + half), rel=1e-6)


def test_19_of_20_intervals_hold_the_true_mean() -> None:
    draws = np.random.default_rng(1).normal(3, 2, (4000, 5))
    held = [low <= 3 <= high for _, low, high in map(interval, draws)]
    assert np.mean(held) == pytest.approx(0.95, abs=0.012)  # 3.5 standard errors


def test_which_seeds_there_may_be() -> None:
    seeds = TypeAdapter(Seeds)
    assert seeds.validate_python([0, 7, 2**32 - 1]) == (0, 7, 2**32 - 1)
    for wrong in ([1, 2], [1, 2, 2], [-1, 1, 2], [1, 2, 2**32]):
        with pytest.raises(ValidationError):
            seeds.validate_python(wrong)
