"""Differences seed by seed, and the figure."""

from pathlib import Path

import pandas as pd
import pytest

from stages.mnist.pretrained.comparison import draw, summary

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
