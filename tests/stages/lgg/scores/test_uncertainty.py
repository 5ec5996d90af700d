"""Uncertainty, and what is left of the patients, worked by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.lgg.scores.uncertainty import RiskCoverage, risk_coverage, summary, uncertainty


def test_uncertainty_is_of_the_whole_volume_for_each_pixel_that_is_expected() -> None:
    assert uncertainty(pd.DataFrame({"entropy": [1.0, 2.0], "probability": [4.0, 8.0]})) == 0.25
    assert uncertainty(pd.DataFrame({"entropy": [0.5], "probability": [0.1]})) == 0.5


def test_the_surest_come_first() -> None:
    curve = risk_coverage(np.array([0.2, 0.9, 0.7, 0.8]), np.array([5.0, 1.0, 3.0, 1.0]))
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1]
    assert curve.dice.tolist() == pytest.approx([0.9, 0.85, 0.8, 0.65])
    found = summary(curve)
    assert found["surest_80_percent"] == found["surest_90_percent"] == found["all"] == pytest.approx(0.65)
    assert found["mean_over_coverages"] == pytest.approx((0.9 + 0.85 + 0.8 + 0.65) / 4)


def test_coverages_are_of_at_least_that_many() -> None:
    curve = RiskCoverage(np.arange(1, 11) / 10, np.arange(10, 0, -1) / 10)
    assert summary(curve)["surest_80_percent"] == pytest.approx(0.3)
    assert summary(curve)["surest_90_percent"] == pytest.approx(0.2)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_whoever_is_sure_of_the_best_keeps_the_most(dice: list[float]) -> None:
    values = np.array(dice)
    best, worst = risk_coverage(values, -values), risk_coverage(values, values)
    assert (best.dice >= worst.dice - 1e-12).all()
    assert best.dice[-1] == pytest.approx(worst.dice[-1])
