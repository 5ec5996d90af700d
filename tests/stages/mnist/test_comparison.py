"""Intervals against tables and by simulation, differences seed by seed, and the figure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.mnist.comparison import draw, interval, summary

TABLE = pd.DataFrame(
    [
        (1, "plain", 0.5, 2.0),
        (1, "better", 0.6, 1.0),
        (2, "plain", 0.7, 1.5),
        (2, "better", 0.8, 1.25),
        (3, "better", 0.4, 3.0),  # the order of rows does not pair them
        (3, "plain", 0.3, 4.0),
    ],
    columns=["seed", "arm", "test_accuracy", "test_mean_cross_entropy"],
)
PAIRS = [("better", "plain")]


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


def test_the_summary_by_hand() -> None:
    found = summary(TABLE, PAIRS)
    assert list(found) == [
        "test_accuracy_difference", "test_accuracy", "test_mean_cross_entropy_difference", "test_mean_cross_entropy",
    ]  # fmt: skip
    assert list(found["test_accuracy"]) == ["plain", "better"]
    half = 4.302653 * 0.2 / 3**0.5
    assert found["test_accuracy"]["plain"] == pytest.approx(
        {"mean": 0.5, "95_low": 0.5 - half, "95_high": 0.5 + half}, abs=1e-6
    )
    assert found["test_accuracy"]["better"]["mean"] == pytest.approx(0.6)
    # Each arm varies much from seed to seed; the difference does not.
    [difference] = found["test_accuracy_difference"].values()
    assert difference == pytest.approx({"mean": 0.1, "95_low": 0.1, "95_high": 0.1})
    assert found["test_mean_cross_entropy_difference"]["better minus plain"]["mean"] == pytest.approx(-0.75)


def test_the_figure_shows_every_seed_and_nothing_of_who_drew_it(tmp_path: Path) -> None:
    def drawn(table: pd.DataFrame) -> bytes:
        draw(table, PAIRS, tmp_path / "figure.png")
        return (tmp_path / "figure.png").read_bytes()

    first = drawn(TABLE)
    assert drawn(TABLE.copy()) == first
    assert b"matplotlib" not in first
    for row in TABLE.index:
        changed = TABLE.copy()
        changed.loc[row, "test_accuracy"] += 0.05
        assert drawn(changed) != first
