"""Whether probabilities mean what they say, and the losses that the tutorial reports.

Calibration is looked at near the tumour only: over whole images the certain background, 99 % of the pixels,
would make any network look calibrated.

Shapes: S slices of a patient's stack, N slices of all patients, H × W pixels; logits and truth are S H W.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy import ndimage

from stages.lgg.unet.losses import SMOOTH

Masks = NDArray[np.bool_]

BINS = 15
DILATION_PX = 10
TUTORIAL_BATCH = 4
TUTORIAL_BCE, TUTORIAL_DICE = 0.7, 0.3


def near_tumour(truth: Masks) -> Masks:
    """The true tumour of each slice dilated by a disc of radius 10 px."""
    region = np.zeros_like(truth)
    for number in np.flatnonzero(truth.any(axis=(1, 2))):
        region[number] = ndimage.distance_transform_edt(~truth[number]) <= DILATION_PX
    return region


def tally(logits: NDArray[np.float32], truth: Masks) -> pd.DataFrame:
    """Sums over the pixels near the tumour, a row for each of 15 bins of probability of equal width.

    Columns: pixels, probability, tumour (pixels of it), squared_error, log_loss. Tallies of patients add up.
    A bin takes its lower bound, the last one also 1.
    """
    region = near_tumour(truth)
    z, y = logits[region].astype(np.float64), truth[region]
    p = _sigmoid(z)
    chosen = np.minimum((p * BINS).astype(np.int64), BINS - 1)
    sums = {"pixels": np.ones_like(p), "probability": p, "tumour": y, "squared_error": (p - y) ** 2}
    sums["log_loss"] = _log_loss(z, y)
    return pd.DataFrame({name: np.bincount(chosen, values, minlength=BINS) for name, values in sums.items()})


def calibration(bins: pd.DataFrame) -> dict[str, float | int]:
    """Mean log loss, Brier score and expected calibration error of a tally, NaN without pixels.

    ECE = Σ_b n_b/n · |mean probability − share of tumour| (Naeini et al. 2015, for the probability of tumour).
    """
    totals = bins.sum()
    pixels = totals["pixels"] if totals["pixels"] else np.nan
    return {
        "negative_log_likelihood": float(totals["log_loss"] / pixels),
        "brier_score": float(totals["squared_error"] / pixels),
        "expected_calibration_error_15_bins": float((bins["probability"] - bins["tumour"]).abs().sum() / pixels),
        "pixels": int(totals["pixels"]),
    }


def loss_sums(logits: NDArray[np.float32], truth: Masks) -> pd.DataFrame:
    """What the tutorial's losses are made of, per slice over all its pixels, so that any batch can be put together.

    Beside it the entropy in nats of all pixels: −p·log p − (1 − p)·log(1 − p) is log(1 + eᶻ) − p·z for the logit z.
    """
    return pd.DataFrame([_sums_of_slice(*pair) for pair in zip(logits, truth, strict=True)])


def _sums_of_slice(logits: NDArray[np.float32], truth: Masks) -> dict[str, float]:
    """A row of `loss_sums`, of H W: one slice at a time stays in the processor's cache."""
    z, y = torch.from_numpy(logits).double(), torch.from_numpy(truth)
    far = torch.exp(-z.abs())  # at most 1
    softplus = torch.log1p(far)  # of −|z|; what is above it is |z|
    p = torch.where(z < 0, far, 1.0) / (1 + far)
    terms = {
        "probability": p,
        "probability_in_tumour": p * y,
        "log_loss": softplus + torch.where(y, -z, z).clamp_min_(0),
        "entropy": softplus + z.clamp(min=0) - p * z,
    }
    sums = {name: float(values.sum()) for name, values in terms.items()}
    return sums | {"tumour": int(y.sum()), "pixels": y.numel()}


def tutorial_losses(slices: pd.DataFrame) -> dict[str, float]:
    """Means over consecutive batches of 4 of all N slices in order, the last perhaps smaller; from `loss_sums`.

    The soft dice loss is that of `losses.soft_dice_loss` on such a batch. More than half of the batches hold no
    tumour, so it says little about masks: it is there to be compared with the tutorial's.
    """
    batches = slices.groupby(np.arange(len(slices)) // TUTORIAL_BATCH).sum(numeric_only=True)
    cross_entropy = float((batches["log_loss"] / batches["pixels"]).mean())
    overlap = 2 * batches["probability_in_tumour"] + SMOOTH
    soft_dice = float((1 - overlap / (batches["probability"] + batches["tumour"] + SMOOTH)).mean())
    return {
        "tutorial_batch4_binary_cross_entropy": cross_entropy,
        "tutorial_batch4_soft_dice_loss": soft_dice,
        "tutorial_batch4_loss": TUTORIAL_BCE * cross_entropy + TUTORIAL_DICE * soft_dice,
    }


def _sigmoid(z: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(-np.logaddexp(0, -z))


def _log_loss(z: NDArray[np.float64], y: Masks) -> NDArray[np.float64]:
    """−log of the probability that the logit gives to what is there, without ever taking the log of 0."""
    return np.logaddexp(0, np.where(y, -z, z))
