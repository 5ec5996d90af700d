"""Both intervals by hand, differences patient by patient, and the figure."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.lgg.pretrained.comparison import draw, estimate, summary

NAN = float("nan")
PAIRS = [("better", "plain")]


def values(*rows: list[float]) -> pd.DataFrame:
    """A row a patient, a column a seed."""
    return pd.DataFrame(rows)


def table(plain: pd.DataFrame, better: pd.DataFrame) -> pd.DataFrame:
    rows = [
        (seed, arm, f"p{patient}", found.loc[patient, seed])
        for seed in plain.columns
        for arm, found in (("plain", plain), ("better", better))
        for patient in reversed(plain.index)  # the order of rows does not pair them
    ]
    return pd.DataFrame(rows, columns=["seed", "arm", "patient", "dice_per_volume"])


def test_the_mean_and_both_intervals_by_hand() -> None:
    found = estimate(values([0.1, 0.2, 0.3], [0.3, 0.4, 0.5]))  # means of patients 0.2, 0.4; of seeds 0.2, 0.3, 0.4
    assert found.mean == pytest.approx(0.3)
    half = 4.302653 * 0.1 / 3**0.5  # t of 2 degrees of freedom, from a table
    assert found.over_seeds == pytest.approx((0.3 - half, 0.3 + half), rel=1e-6)
    assert found.over_patients == pytest.approx((0.2, 0.4))  # two of two, each with one chance in four


def test_what_all_patients_share_is_no_spread_over_patients_and_the_other_way_round() -> None:
    seeds = estimate(values([0.1, 0.2, 0.6], [0.1, 0.2, 0.6]))
    assert seeds.over_patients == pytest.approx((0.3, 0.3))
    assert seeds.over_seeds[1] - seeds.over_seeds[0] > 0.5
    patients = estimate(values([0.1] * 3, [0.2] * 3, [0.6] * 3))
    assert patients.over_seeds == pytest.approx((0.3, 0.3))
    assert patients.over_patients[1] - patients.over_patients[0] > 0.2


def test_an_undefined_value_counts_nowhere() -> None:
    found = estimate(values([0.2, 0.4], [NAN, NAN], [0.6, NAN]))
    assert found.mean == pytest.approx((0.3 + 0.6) / 2)
    assert np.isfinite([*found.over_patients, *found.over_seeds]).all()


def test_19_of_20_intervals_over_patients_hold_the_true_mean() -> None:
    draws = np.random.default_rng(1)
    held = 0
    for _ in range(300):
        low, high = estimate(pd.DataFrame(draws.normal(3, 2, (40, 1)) + np.zeros((40, 3)))).over_patients
        held += low <= 3 <= high
    assert held / 300 == pytest.approx(0.95, abs=0.04)


def test_the_summary_pairs_patients() -> None:
    plain = values([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    found = summary(table(plain, plain + 0.05), PAIRS)
    assert list(found) == ["dice_per_volume_mean_difference", "dice_per_volume_mean"]
    assert list(found["dice_per_volume_mean"]) == ["plain", "better"]
    assert found["dice_per_volume_mean"]["plain"]["mean"] == pytest.approx(0.5)
    assert found["dice_per_volume_mean_difference"]["better minus plain"] == pytest.approx(
        {
            "mean": 0.05, "95_low_over_patients": 0.05, "95_high_over_patients": 0.05,
            "95_low_over_seeds": 0.05, "95_high_over_seeds": 0.05,
        }
    )  # fmt: skip
    spread = found["dice_per_volume_mean"]["better"]
    assert spread["95_low_over_patients"] == pytest.approx(0.25)
    assert spread["95_high_over_patients"] == pytest.approx(0.85)


def test_the_figure_shows_every_patient_and_nothing_of_who_drew_it(tmp_path: Path) -> None:
    plain = values([0.1, 0.2, 0.3], [0.7, 0.8, 0.9])
    whole = table(plain, plain + 0.05)

    def drawn(shown: pd.DataFrame) -> bytes:
        draw(shown, PAIRS, tmp_path / "figure.png")
        return (tmp_path / "figure.png").read_bytes()

    first = drawn(whole)
    assert drawn(whole.copy()) == first
    assert b"matplotlib" not in first
    for row in whole.index:
        changed = whole.copy()
        changed.loc[row, "dice_per_volume"] -= 0.05
        assert drawn(changed) != first
