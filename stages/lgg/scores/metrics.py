"""How well predicted masks agree with true ones: counted per slice, gathered per patient, summarised over patients.

Every number comes from one table of slices, a row each, made of the columns of `overlaps` and of
`surfaces.surface_distances` with `patient` and `institution` beside them.

Shapes: S slices of a patient's stack, N slices of all patients, H × W pixels. Masks are boolean; areas and
distances are in pixels, because the data set has no pixel spacing. What is undefined is NaN, and counted.
"""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage

Masks = NDArray[np.bool_]
Values = NDArray[np.float64]
Metrics = dict[str, float | int]

HEADLINE = "dice_per_volume_mean"
DRAWS = 10_000
BOOTSTRAP_SEED = 777
PERCENTILES = (2.5, 97.5)
CONNECTED = np.ones((3, 3, 3))  # 26 neighbours: voxels that share a face, an edge or a corner


def overlaps(prediction: Masks, truth: Masks) -> pd.DataFrame:
    """Pixels per slice of S H W masks: of the tumour, of the prediction, and of both at once."""
    assert prediction.shape == truth.shape, f"prediction is {prediction.shape}, truth {truth.shape}"
    counts = {"tumour_px": truth, "predicted_px": prediction, "overlap_px": truth & prediction}
    return pd.DataFrame({name: mask.sum(axis=(1, 2), dtype=np.int64) for name, mask in counts.items()})


def largest_component(stack: Masks) -> Masks:
    """Of a stack (S H W), its largest piece in three dimensions by 26-connectivity; of equal ones the first."""
    labels, count = ndimage.label(stack, CONNECTED)
    if count < 2:
        return stack
    sizes = np.bincount(labels.ravel())[1:]
    return np.asarray(labels == 1 + sizes.argmax())


def dice(counts: pd.DataFrame) -> pd.Series:
    """2·|P ∩ T| / (|P| + |T|) per row of areas (Dice 1945); NaN where both are empty."""
    return 2 * counts["overlap_px"] / (counts["predicted_px"] + counts["tumour_px"])


def per_patient(slices: pd.DataFrame) -> pd.DataFrame:
    """A row per patient, by name. Dice is of the whole volume.

    nsd and hd95_px are means over the slices where both masks hold pixels, NaN without any. A slice is missed when
    it has tumour and no predicted pixel, false when it is the other way round. The relative volume error is
    (predicted − true) / true, NaN without tumour.
    """
    flags = slices.assign(
        missed_slices=(slices["tumour_px"] > 0) & (slices["predicted_px"] == 0),
        false_slices=(slices["tumour_px"] == 0) & (slices["predicted_px"] > 0),
    )
    groups = flags.groupby("patient", sort=True)
    areas = groups[["tumour_px", "predicted_px", "overlap_px"]].sum()
    true_px = areas["tumour_px"].where(areas["tumour_px"] > 0)
    return pd.DataFrame(
        {
            "institution": groups["institution"].first(),
            "slices": groups.size(),
            "tumour_px": areas["tumour_px"],
            "predicted_px": areas["predicted_px"],
            "dice": dice(areas),
            "nsd": groups["nsd"].mean(),
            "hd95_px": groups["hd95_px"].mean(),
            "missed_slices": groups["missed_slices"].sum(),
            "false_slices": groups["false_slices"].sum(),
            "relative_volume_error": (areas["predicted_px"] - true_px) / true_px,
        }
    ).reset_index()


def over_patients(slices: pd.DataFrame, generator: Generator) -> Metrics:
    """The metrics under their full names; `generator` draws the patients of the bootstrap."""
    patients = per_patient(slices)
    lesions, empty = slices[slices["tumour_px"] > 0], slices[slices["tumour_px"] == 0]
    volume_error = patients["relative_volume_error"]
    return {
        **dice_per_volume(patients["dice"], generator),
        "dice_pooled": float(dice(slices.sum(numeric_only=True).to_frame().T).iloc[0]),
        "dice_per_lesion_slice_mean": float(dice(lesions).mean()),
        "nsd_2px_mean": float(patients["nsd"].mean()),
        "nsd_2px_median": float(patients["nsd"].median()),
        "hd95_px_mean": float(patients["hd95_px"].mean()),
        "hd95_px_median": float(patients["hd95_px"].median()),
        "slices_with_both_masks": int(slices["nsd"].count()),
        "patients_with_both_masks": int(patients["nsd"].count()),
        "slice_sensitivity": float((lesions["predicted_px"] > 0).mean()),
        "slice_specificity": float((empty["predicted_px"] == 0).mean()),
        "missed_slices": int(patients["missed_slices"].sum()),
        "false_slices": int(patients["false_slices"].sum()),
        "relative_volume_error_mean": float(volume_error.mean()),
        "relative_volume_error_median": float(volume_error.median()),
        "relative_volume_error_absolute_mean": float(volume_error.abs().mean()),
    }


def by_institution(patients: pd.DataFrame) -> dict[str, Metrics]:
    """Patients, and the mean of their per-volume Dice, for each institution."""
    return {
        str(institution): {"patients": len(group), "dice_per_volume_mean": float(group["dice"].mean())}
        for institution, group in patients.groupby("institution", sort=True)
    }


def as_json(found: Mapping[str, Any]) -> str:
    """A file of metrics: the headline comes first, since tables show the first ones, then all in the order of names."""
    ordered = json.loads(json.dumps(found, sort_keys=True, allow_nan=False))
    return json.dumps({HEADLINE: ordered[HEADLINE]} | ordered, indent=2) + "\n"


def bootstrap_interval(values: Values, generator: Generator) -> tuple[float, float]:
    """The 95 % percentile interval of the mean over 10,000 resamples of `values` with replacement (Efron 1979)."""
    if not len(values):
        return float("nan"), float("nan")
    drawn = generator.integers(len(values), size=(DRAWS, len(values)))
    low, high = np.percentile(values[drawn].mean(axis=1), PERCENTILES)
    return float(low), float(high)


def dice_per_volume(values: pd.Series, generator: Generator) -> Metrics:
    """Of the P patients whose Dice is defined; the standard deviation is the sample's, over n − 1."""
    low, high = bootstrap_interval(values.dropna().to_numpy(dtype=np.float64), generator)
    return {
        "dice_per_volume_mean": float(values.mean()),
        "dice_per_volume_mean_ci95_low": low,
        "dice_per_volume_mean_ci95_high": high,
        "dice_per_volume_median": float(values.median()),
        "dice_per_volume_sd": float(values.std(ddof=1)),
        "dice_per_volume_min": float(values.min()),
        "dice_per_volume_patients": int(values.count()),
        "dice_per_volume_empty_in_both": int(values.isna().sum()),
    }
