"""From the logits of each patient's stack to the scores of a network on all patients.

Every number is made twice: of the masks as predicted, and of each patient's largest component alone.

Shapes: S slices of a patient's stack, N slices of all patients, H × W pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from stages.lgg.scores.calibration import calibration, loss_sums, tally, tutorial_losses
from stages.lgg.scores.metrics import by_institution, largest_component, over_patients, overlaps, per_patient
from stages.lgg.scores.surfaces import implementation, surface_distances

BOOTSTRAP_SEED = 777
NAMES = ["slice", "patient", "institution", "number"]

Masks = NDArray[np.bool_]


class Stack(NamedTuple):
    """What one patient adds."""

    predicted: pd.DataFrame  # S rows: the slice's names, its overlap and surface distances, its sums for losses
    largest: pd.DataFrame  # S rows: the same without the sums, of the largest component
    bins: pd.DataFrame  # see `calibration.tally`


class Scores(NamedTuple):
    """What a network scored."""

    metrics: dict[str, Any]
    patients: pd.DataFrame  # a row each: `metrics.per_patient` and the Dice of the largest component
    slices: pd.DataFrame  # N rows, those of `Stack.predicted`
    bins: pd.DataFrame  # of the reliability plot


def score_stack(slices: pd.DataFrame, logits: Tensor, truth: Masks, threshold: float) -> Stack:
    """Score one patient: `slices` has the rows of slices.csv, and logits and truth are S H W.

    A pixel is predicted as tumour when its probability is `threshold` or more.
    """
    prediction = (logits.sigmoid() >= threshold).numpy()
    named, values = slices[NAMES].reset_index(drop=True), logits.numpy()
    return Stack(
        predicted=named.join([_agreement(prediction, truth), loss_sums(values, truth)]),
        largest=named.join(_agreement(largest_component(prediction), truth)),
        bins=tally(values, truth),
    )


def gather(stacks: Sequence[Stack]) -> Scores:
    """Put the patients' scores together, in the order that their slices have."""
    predicted = pd.concat([stack.predicted for stack in stacks], ignore_index=True)
    largest = pd.concat([stack.largest for stack in stacks], ignore_index=True)
    bins = pd.concat([stack.bins for stack in stacks]).groupby(level=0).sum()
    patients = per_patient(predicted)
    patients.insert(list(patients).index("dice") + 1, "dice_largest_component", per_patient(largest)["dice"])
    metrics = {
        **over_patients(predicted, np.random.default_rng(BOOTSTRAP_SEED)),
        "with_largest_component_only": over_patients(largest, np.random.default_rng(BOOTSTRAP_SEED)),
        "by_institution": by_institution(patients),
        "calibration_within_10_px_of_tumour": calibration(bins),
        **tutorial_losses(predicted),
        "patients": len(patients),
        "slices": len(predicted),
        "surface_distances_by": implementation(),
    }
    return Scores(metrics, patients, predicted, bins)


def _agreement(prediction: Masks, truth: Masks) -> pd.DataFrame:
    return overlaps(prediction, truth).join(surface_distances(prediction, truth))
