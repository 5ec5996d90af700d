"""From the logits of each patient's stack to the scores of a network on all patients.

Every number is made twice: of the masks as predicted, and of each patient's largest component alone. Which of the
two is the prediction that counts is fixed beforehand.

Shapes: S slices of a patient's stack, N slices of all patients, H × W pixels.
"""

import math
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
MM3_IN_ML = 1000

Masks = NDArray[np.bool_]
Spacing = tuple[float, float, float]
"""mm from row to row, from column to column and from slice to slice."""


class Stack(NamedTuple):
    """What one patient adds."""

    predicted: pd.DataFrame  # S rows: the slice's names, its overlap and surface distances, its sums for losses
    largest: pd.DataFrame  # S rows: the same of the largest component
    bins: pd.DataFrame  # see `calibration.tally`
    masks: tuple[Masks, Masks]  # S H W, what is predicted, and its largest component


class Scores(NamedTuple):
    """What a network scored."""

    metrics: dict[str, Any]
    patients: pd.DataFrame  # a row each: `metrics.per_patient`, the Dice of the other prediction, `uncertainty`, units
    slices: pd.DataFrame  # N rows, those of the prediction that counts
    bins: pd.DataFrame  # of the reliability plot


def score_stack(
    slices: pd.DataFrame, logits: Tensor, truth: Masks, threshold: float, spacing: Spacing | None = None
) -> Stack:
    """Score one patient: `slices` has the rows of slices.csv, and logits and truth are S H W.

    A pixel is predicted as tumour when its probability is `threshold` or more. Where the `spacing` is known, distances
    are given in mm too, and volumes in ml.
    """
    prediction = (logits.sigmoid() >= threshold).numpy()
    named, values = slices[NAMES].reset_index(drop=True), logits.numpy()
    named["pixel_ml"] = math.prod(spacing) / MM3_IN_ML if spacing else math.nan
    component = largest_component(prediction)
    pixel_mm = spacing[:2] if spacing else None
    agreement, sums = _agreement(prediction, truth, pixel_mm), loss_sums(values, truth)
    return Stack(
        predicted=named.join([agreement, sums]),
        largest=named.join([_again(agreement, prediction, component, truth, pixel_mm), sums]),
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
    patients = patients.merge(_in_units(counts), on="patient", validate="1:1")
    metrics = {
        **over_patients(counts, np.random.default_rng(BOOTSTRAP_SEED)),
        name: over_patients(other, np.random.default_rng(BOOTSTRAP_SEED)),
        "hd95_mm_mean": float(patients["hd95_mm"].mean()),
        "nsd_2mm_mean": float(patients["nsd_2mm"].mean()),
        "volume_error_ml_absolute_mean": float((patients["predicted_ml"] - patients["tumour_ml"]).abs().mean()),
        "patients_of_known_spacing": int(patients["tumour_ml"].count()),
        "by_institution": by_institution(patients),
        "calibration_within_10_px_of_tumour": calibration(bins),
        **tutorial_losses(counts),
        "patients": len(patients),
        "slices": len(predicted),
        "surface_distances_by": implementation(),
    }
    return Scores(metrics, patients, counts, bins)


def _in_units(slices: pd.DataFrame) -> pd.DataFrame:
    """A row per patient: volumes in ml, and means of distances over slices in mm; NaN where the spacing is unknown."""
    groups = slices.groupby("patient", sort=True)
    ml = groups["pixel_ml"].first()
    return pd.DataFrame(
        {
            "tumour_ml": groups["tumour_px"].sum() * ml,
            "predicted_ml": groups["predicted_px"].sum() * ml,
            "nsd_2mm": groups["nsd_2mm"].mean(),
            "hd95_mm": groups["hd95_mm"].mean(),
        }
    ).reset_index()


def _agreement(prediction: Masks, truth: Masks, pixel_mm: tuple[float, float] | None) -> pd.DataFrame:
    return overlaps(prediction, truth).join(surface_distances(prediction, truth, pixel_mm))


def _again(
    agreement: pd.DataFrame, prediction: Masks, component: Masks, truth: Masks, pixel_mm: tuple[float, float] | None
) -> pd.DataFrame:
    """The agreement of the component, measured anew only in slices where it is not what was predicted."""
    changed = (component != prediction).any(axis=(1, 2))
    if not changed.any():
        return agreement
    anew = _agreement(component[changed], truth[changed], pixel_mm).set_axis(np.flatnonzero(changed))
    both: pd.DataFrame = pd.concat([agreement[~changed], anew])
    return both.sort_index()
