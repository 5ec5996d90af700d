"""Calibration near the tumour and the tutorial's losses, against tables worked by hand and the losses of training."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.lgg.scores.calibration import calibration, loss_sums, near_tumour, tally, tutorial_losses
from stages.lgg.unet.losses import binary_cross_entropy, soft_dice_loss


def logit(probability: float) -> float:
    return math.log(probability / (1 - probability))


def single(probabilities: list[float], tumour: list[bool]) -> pd.DataFrame:
    """The tally of one slice of 1 × n px, all of it near its tumour."""
    logits = np.array([[[logit(p) for p in probabilities]]], dtype=np.float32)
    return tally(logits, np.array([[tumour]]))


def test_near_tumour_is_a_disc_of_ten_pixels_on_slices_with_tumour() -> None:
    truth = np.zeros((2, 31, 31), dtype=bool)
    truth[0, 15, 15] = True
    y, x = np.ogrid[-15:16, -15:16]
    region = near_tumour(truth)
    assert np.array_equal(region[0], y**2 + x**2 <= 100)
    assert not region[1].any()


def test_calibration_of_four_pixels() -> None:
    # In bins of 1/15: 0.1 and 0.12 share the second one, 0.9 and 0.63 have their own.
    bins = single([0.1, 0.12, 0.9, 0.63], [False, True, True, False])
    assert bins["pixels"].tolist() == [0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert bins["probability"][1] == pytest.approx(0.22)
    assert bins["tumour"][1] == 1
    assert calibration(bins) == pytest.approx(
        {
            "negative_log_likelihood": -(math.log(0.9) + math.log(0.12) + math.log(0.9) + math.log(0.37)) / 4,
            "brier_score": (0.1**2 + 0.88**2 + 0.1**2 + 0.63**2) / 4,
            "expected_calibration_error_15_bins": (abs(0.22 - 1) + abs(0.9 - 1) + 0.63) / 4,
            "pixels": 4,
        },
        rel=1e-6,
    )


def test_a_coin_that_says_a_half_is_calibrated_but_knows_nothing() -> None:
    found = calibration(single([0.5, 0.5], [True, False]))
    assert found["expected_calibration_error_15_bins"] == 0
    assert found["brier_score"] == 0.25
    assert found["negative_log_likelihood"] == pytest.approx(math.log(2))


def test_pixels_far_from_tumour_do_not_count() -> None:
    truth = np.zeros((1, 1, 30), dtype=bool)
    truth[0, 0, 0] = True
    assert tally(np.zeros((1, 1, 30), dtype=np.float32), truth)["pixels"].sum() == 11


def test_certain_logits_stay_finite() -> None:
    logits = np.array([[[1000.0, -1000.0, -1000.0]]], dtype=np.float32)
    bins = tally(logits, np.array([[[True, False, True]]]))
    assert bins["pixels"].tolist() == [2, *[0] * 13, 1]
    assert calibration(bins)["negative_log_likelihood"] == pytest.approx(1000 / 3)


def test_without_tumour_calibration_is_undefined() -> None:
    found = calibration(tally(np.zeros((1, 4, 4), dtype=np.float32), np.zeros((1, 4, 4), dtype=bool)))
    assert found.pop("pixels") == 0
    assert all(math.isnan(value) for value in found.values())


def scene(seed: int, slices: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    generator = np.random.default_rng(seed)
    return generator.normal(0, 3, (slices, 5, 6)).astype(np.float32), generator.random((slices, 5, 6)) < 0.3


@given(st.integers(0, 1000))
def test_tallies_add_up(seed: int) -> None:
    logits, truth = scene(seed, 5)
    parts = tally(logits[:2], truth[:2]) + tally(logits[2:], truth[2:])
    pd.testing.assert_frame_equal(parts, tally(logits, truth))


@given(st.integers(0, 1000), st.integers(1, 13))
def test_tutorial_losses_are_those_of_training_on_batches_of_four(seed: int, slices: int) -> None:
    logits, truth = scene(seed, slices)
    z, y = torch.from_numpy(logits)[:, None], torch.from_numpy(truth)[:, None].float()
    batches = list(zip(z.split(4), y.split(4), strict=True))
    bce = float(np.mean([binary_cross_entropy(some, target).item() for some, target in batches]))
    dice = float(np.mean([soft_dice_loss(some.sigmoid(), target).item() for some, target in batches]))
    stacks = (
        [loss_sums(logits[:3], truth[:3]), loss_sums(logits[3:], truth[3:])]
        if slices > 3
        else [loss_sums(logits, truth)]
    )
    assert tutorial_losses(pd.concat(stacks, ignore_index=True)) == pytest.approx(
        {
            "tutorial_batch4_binary_cross_entropy": bce,
            "tutorial_batch4_soft_dice_loss": dice,
            "tutorial_batch4_loss": 0.3 * dice + 0.7 * bce,
        },
        rel=1e-5,
    )


def test_tutorial_losses_by_hand() -> None:
    # Four empty slices of 10 px at p = 0.5: 1 − 1/(20 + 1); then one slice full of tumour: 1 − (10 + 1)/(5 + 10 + 1).
    logits, truth = np.zeros((5, 2, 5), dtype=np.float32), np.zeros((5, 2, 5), dtype=bool)
    truth[4] = True
    found = tutorial_losses(loss_sums(logits, truth))
    assert found["tutorial_batch4_soft_dice_loss"] == pytest.approx((20 / 21 + 5 / 16) / 2)
    assert found["tutorial_batch4_binary_cross_entropy"] == pytest.approx(math.log(2))


def test_entropy_is_that_of_the_probability() -> None:
    logits = np.array([[[0.0, math.log(3)]], [[-40.0, 40.0]]], np.float32)  # probabilities 1/2, 3/4; 0, 1
    sums = loss_sums(logits, np.zeros(logits.shape, dtype=np.bool_))
    assert sums["entropy"].tolist() == pytest.approx([math.log(2) + 0.5623351446, 0], abs=1e-6)
    assert sums["probability"].tolist() == pytest.approx([1.25, 1])
