"""Overlap, per-patient and overall metrics, against tables worked by hand."""

import math
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from stages.lgg.scores import metrics

Masks = NDArray[np.bool_]
stacks = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6))
pairs = stacks.flatmap(lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape)))


def square(top: int, left: int, side: int, size: int = 40) -> Masks:
    """One slice (1 size size) with a full square."""
    mask = np.zeros((1, size, size), dtype=bool)
    mask[:, top : top + side, left : left + side] = True
    return mask


def table(*rows: tuple[str, str, int, int, int, float, float]) -> pd.DataFrame:
    """Slices by patient, institution, true, predicted and common px, NSD and HD95."""
    columns = ["patient", "institution", "tumour_px", "predicted_px", "overlap_px", "nsd", "hd95_px"]
    return pd.DataFrame(rows, columns=columns)


NAN = math.nan
# By hand. A: 2·(6+2)/(10+5+8+7) = 16/30. B: 2·0/(0+4+10+0) = 0, one slice missed, one false. C: empty in both.
SLICES = table(
    ("A", "DU", 10, 8, 6, 0.5, 4.0),
    ("A", "DU", 5, 7, 2, 0.7, 2.0),
    ("A", "DU", 0, 0, 0, NAN, NAN),
    ("B", "HT", 10, 0, 0, NAN, NAN),
    ("B", "HT", 0, 4, 0, NAN, NAN),
    ("C", "HT", 0, 0, 0, NAN, NAN),
)


def test_overlaps_count_pixels_per_slice() -> None:
    truth = np.concatenate([square(0, 0, 4), square(10, 10, 3), square(0, 0, 0)])
    prediction = np.concatenate([square(2, 2, 4), square(20, 20, 2), square(5, 5, 1)])
    assert metrics.overlaps(prediction, truth).to_numpy().tolist() == [[16, 16, 4], [9, 4, 0], [0, 1, 0]]


def test_overlaps_refuse_masks_of_different_shapes() -> None:
    with pytest.raises(AssertionError, match=re.escape("prediction is (1, 40, 40), truth (1, 20, 40)")):
        metrics.overlaps(square(0, 0, 1), square(0, 0, 1)[:, :20])


@pytest.mark.parametrize(
    ("tumour", "predicted", "common", "expected"),
    [(10, 10, 10, 1.0), (10, 10, 0, 0.0), (10, 6, 4, 0.5), (3, 0, 0, 0.0), (0, 3, 0, 0.0), (0, 0, 0, NAN)],
)
def test_dice(tumour: int, predicted: int, common: int, expected: float) -> None:
    counts = pd.DataFrame({"tumour_px": [tumour], "predicted_px": [predicted], "overlap_px": [common]})
    assert metrics.dice(counts).tolist() == pytest.approx([expected], nan_ok=True)


@given(pairs)
def test_dice_is_symmetric_and_in_the_unit_interval(pair: tuple[Masks, Masks]) -> None:
    one, other = pair
    dice = metrics.dice(metrics.overlaps(one, other))
    pd.testing.assert_series_equal(dice, metrics.dice(metrics.overlaps(other, one)))
    assert dice.dropna().between(0, 1).all()
    assert dice.isna().tolist() == (~(one | other).any(axis=(1, 2))).tolist()


def test_largest_component_keeps_one_piece_across_slices() -> None:
    stack = np.zeros((3, 10, 10), dtype=bool)
    stack[0, 1, 1:4] = True  # 3 px, alone in the plane ...
    stack[1, 2, 4] = stack[2, 3, 5] = True  # ... but with these, by the corners, a piece of 5
    rest = stack.copy()
    stack[2, 7:9, 7:9] = True  # 4 px, the largest of its slice
    assert np.array_equal(metrics.largest_component(stack), rest)


@pytest.mark.parametrize("first", [0, 6])
def test_largest_component_of_equal_ones_is_the_first(first: int) -> None:
    stack = square(first, first, 2) | square(20, 20, 2)
    assert np.array_equal(metrics.largest_component(stack), square(first, first, 2))


def test_largest_component_of_nothing_is_nothing() -> None:
    assert not metrics.largest_component(square(0, 0, 0)).any()


@given(stacks.flatmap(lambda shape: arrays(bool, shape)))
def test_largest_component_is_a_part_and_stays_itself(stack: Masks) -> None:
    largest = metrics.largest_component(stack)
    assert not (largest & ~stack).any()
    assert largest.any() == stack.any()
    assert np.array_equal(metrics.largest_component(largest), largest)


def test_per_patient() -> None:
    found = metrics.per_patient(SLICES.sample(frac=1, random_state=1))
    expected = pd.DataFrame(
        {
            "patient": ["A", "B", "C"],
            "institution": ["DU", "HT", "HT"],
            "slices": [3, 2, 1],
            "tumour_px": [15, 10, 0],
            "predicted_px": [15, 4, 0],
            "dice": [16 / 30, 0.0, NAN],
            "nsd": [0.6, NAN, NAN],
            "hd95_px": [3.0, NAN, NAN],
            "missed_slices": [0, 1, 0],
            "false_slices": [0, 1, 0],
            "relative_volume_error": [0.0, -0.6, NAN],
        }
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_over_patients() -> None:
    found = metrics.over_patients(SLICES, np.random.default_rng(0))
    # Lesion slices: 12/18, 4/12, 0/10. Of three with tumour two are found; of three without, one is false.
    expected = {
        "dice_per_volume_mean": 8 / 30,
        "dice_per_volume_mean_ci95_low": 0.0,
        "dice_per_volume_mean_ci95_high": 16 / 30,
        "dice_per_volume_median": 8 / 30,
        "dice_per_volume_sd": 16 / 30 / math.sqrt(2),
        "dice_per_volume_min": 0.0,
        "dice_per_volume_patients": 2,
        "dice_per_volume_empty_in_both": 1,
        "dice_pooled": 2 * 8 / (25 + 19),
        "dice_per_lesion_slice_mean": (12 / 18 + 4 / 12 + 0) / 3,
        "nsd_2px_mean": 0.6,
        "nsd_2px_median": 0.6,
        "hd95_px_mean": 3.0,
        "hd95_px_median": 3.0,
        "slices_with_both_masks": 2,
        "patients_with_both_masks": 1,
        "slice_sensitivity": 2 / 3,
        "slice_specificity": 2 / 3,
        "missed_slices": 1,
        "false_slices": 1,
        "relative_volume_error_mean": -0.3,
        "relative_volume_error_median": -0.3,
        "relative_volume_error_absolute_mean": 0.3,
    }
    assert found == pytest.approx(expected)


def test_one_patient_has_no_spread_and_patients_without_tumour_have_no_sensitivity() -> None:
    found = metrics.over_patients(table(("A", "DU", 0, 3, 0, NAN, NAN)), np.random.default_rng(0))
    assert found["dice_per_volume_mean"] == found["dice_per_volume_mean_ci95_low"] == 0
    undefined = {name for name, value in found.items() if math.isnan(value)}
    assert {"dice_per_volume_sd", "slice_sensitivity", "relative_volume_error_mean", "nsd_2px_mean"} <= undefined
    assert found["slice_specificity"] == 0


def test_patients_all_empty_in_both_leave_the_headline_undefined() -> None:
    found = metrics.over_patients(table(("A", "DU", 0, 0, 0, NAN, NAN)), np.random.default_rng(0))
    assert found["dice_per_volume_empty_in_both"] == 1
    assert found["dice_per_volume_patients"] == 0
    assert all(math.isnan(value) for name, value in found.items() if name.startswith("dice_per_volume_mean"))


def test_by_institution_leaves_the_undefined_out_of_the_mean_but_counts_the_patient() -> None:
    found = metrics.by_institution(metrics.per_patient(SLICES))
    assert found["DU"] == pytest.approx({"patients": 1, "dice_per_volume_mean": 16 / 30})
    assert found["HT"] == {"patients": 2, "dice_per_volume_mean": 0.0}


def test_bootstrap_interval_of_many_values_is_near_the_normal_one() -> None:
    values = np.linspace(0, 1, 101)
    half = 1.96 * values.std() / math.sqrt(101)  # 0.057; 90 % would be 0.048
    found = metrics.bootstrap_interval(values, np.random.default_rng(5))
    assert found == pytest.approx((0.5 - half, 0.5 + half), abs=0.003)
    assert found == metrics.bootstrap_interval(values, np.random.default_rng(5))
    assert found != metrics.bootstrap_interval(values, np.random.default_rng(6))


@given(st.floats(0, 1), st.integers(1, 40), st.integers(0, 9))
def test_bootstrap_interval_of_equal_values_is_that_value(value: float, count: int, seed: int) -> None:
    found = metrics.bootstrap_interval(np.full(count, value), np.random.default_rng(seed))
    assert found == pytest.approx((value, value), abs=1e-12)


@given(arrays(np.float64, st.integers(1, 30), elements=st.floats(0, 1)), st.integers(0, 9))
def test_bootstrap_interval_lies_within_the_values(values: NDArray[np.float64], seed: int) -> None:
    low, high = metrics.bootstrap_interval(values, np.random.default_rng(seed))
    assert values.min() - 1e-12 <= low <= high <= values.max() + 1e-12


def test_the_headline_comes_first_in_a_file() -> None:
    found = {"b": 1, "a": {"z": 0.1, "y": [2]}, "dice_per_volume_mean": 0.5}
    said = " ".join(metrics.as_json(found).split())
    assert said == '{ "dice_per_volume_mean": 0.5, "a": { "y": [ 2 ], "z": 0.1 }, "b": 1 }'
    with pytest.raises(ValueError, match="JSON"):
        metrics.as_json({"dice_per_volume_mean": math.nan})
