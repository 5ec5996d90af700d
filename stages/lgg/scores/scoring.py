"""From the logits of each patient's stack to the scores of a network on all patients.

Every number is made twice: of the masks as predicted, and of each patient's largest component alone. Which of the
two is the prediction that counts is fixed beforehand.

Shapes: S slices of a patient's stack, N slices of all patients, H × W pixels.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor

from stages.lgg.scores.calibration import calibration, loss_sums, tally, tutorial_losses
from stages.lgg.scores.metrics import (
    BOOTSTRAP_SEED,
    by_institution,
    largest_component,
    over_patients,
    overlaps,
    per_patient,
)
from stages.lgg.scores.surfaces import implementation, surface_distances
from stages.lgg.scores.uncertainty import uncertainty

NAMES = ["slice", "patient", "institution", "number"]

Masks = NDArray[np.bool_]


class Stack(NamedTuple):
    """What one patient adds."""

    predicted: pd.DataFrame  # S rows: the slice's names, its overlap and surface distances, its sums for losses
    largest: pd.DataFrame  # S rows: the same of the largest component
    bins: pd.DataFrame  # see `calibration.tally`
    masks: tuple[Masks, Masks]  # S H W, what is predicted, and its largest component


class Scores(NamedTuple):
    """What a network scored."""

    metrics: dict[str, Any]
    patients: pd.DataFrame  # a row each: `metrics.per_patient`, the Dice of the other prediction, and `uncertainty`
    slices: pd.DataFrame  # N rows, those of the prediction that counts
    bins: pd.DataFrame  # of the reliability plot


def score_stack(slices: pd.DataFrame, logits: Tensor, truth: Masks, threshold: float) -> Stack:
    """Score one patient: `slices` has the rows of slices.csv, and logits and truth are S H W.

    A pixel is predicted as tumour when its probability is `threshold` or more.
    """
    prediction = (logits.sigmoid() >= threshold).numpy()
    named, values = slices[NAMES].reset_index(drop=True), logits.numpy()
    component = largest_component(prediction)
    agreement, sums = _agreement(prediction, truth), loss_sums(values, truth)
    return Stack(
        predicted=named.join([agreement, sums]),
        largest=named.join([_again(agreement, prediction, component, truth), sums]),
        bins=tally(values, truth),
        masks=(prediction, component),
    )


def gather(stacks: Sequence[Stack], *, largest_component: bool = False) -> Scores:
    """Put the patients' scores together, in the order that their slices have.

    With `largest_component` it is the prediction that counts; the other one stands under `with_all_components`.
    """
    predicted = pd.concat([stack.predicted for stack in stacks], ignore_index=True)
    largest = pd.concat([stack.largest for stack in stacks], ignore_index=True)
    bins = pd.concat([stack.bins for stack in stacks]).groupby(level=0).sum()
    counts, other = (largest, predicted) if largest_component else (predicted, largest)
    name = "with_all_components" if largest_component else "with_largest_component_only"
    patients = per_patient(counts)
    column = "dice_all_components" if largest_component else "dice_largest_component"
    patients.insert(list(patients).index("dice") + 1, column, per_patient(other)["dice"])
    patients["uncertainty"] = [uncertainty(some) for _, some in counts.groupby("patient", sort=True)]
    metrics = {
        **over_patients(counts, np.random.default_rng(BOOTSTRAP_SEED)),
        name: over_patients(other, np.random.default_rng(BOOTSTRAP_SEED)),
        "by_institution": by_institution(patients),
        "calibration_within_10_px_of_tumour": calibration(bins),
        **tutorial_losses(counts),
        "patients": len(patients),
        "slices": len(predicted),
        "surface_distances_by": implementation(),
    }
    return Scores(metrics, patients, counts, bins)


def _agreement(prediction: Masks, truth: Masks) -> pd.DataFrame:
    return overlaps(prediction, truth).join(surface_distances(prediction, truth))


def _again(agreement: pd.DataFrame, prediction: Masks, component: Masks, truth: Masks) -> pd.DataFrame:
    """The agreement of the component, measured anew only in slices where it is not what was predicted."""
    changed = (component != prediction).any(axis=(1, 2))
    if not changed.any():
        return agreement
    anew = _agreement(component[changed], truth[changed]).set_axis(np.flatnonzero(changed))
    both: pd.DataFrame = pd.concat([agreement[~changed], anew])
    return both.sort_index()
