"""How sure a network is of a patient, and whether it knows the patients on whom it fails.

Shapes: S slices of a patient's stack, H × W pixels; P patients.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.lgg.scores.metrics import Values

COVERAGES = (0.8, 0.9)


def entropy_sums(logits: NDArray[np.float32]) -> pd.DataFrame:
    """Per slice of S H W logits: the entropy in nats of all pixels, and the tumour pixels that are to be expected.

    The entropy of a pixel is −p·log p − (1 − p)·log(1 − p), which is log(1 + eᶻ) − p·z for its logit z.
    """
    z = logits.astype(np.float64)
    p = np.exp(-np.logaddexp(0, -z))
    entropy = np.logaddexp(0, z) - p * z
    return pd.DataFrame({"entropy": entropy.sum(axis=(1, 2)), "expected_px": p.sum(axis=(1, 2))})


def uncertainty(slices: pd.DataFrame) -> float:
    """Of a patient's `entropy_sums`: the entropy of the whole volume for each pixel of tumour that is to be expected.

    An outline that is unsure all round a large tumour counts as a part of it; a small one that may not be there counts
    in full. At least one pixel is taken as expected.
    """
    totals = slices[["entropy", "expected_px"]].sum()
    return float(totals["entropy"] / max(totals["expected_px"], 1.0))


class RiskCoverage(NamedTuple):
    """The mean Dice of the patients that are left when the least sure ones are left out."""

    coverage: Values  # P, the part of the patients that is left: 1/P to 1
    dice: Values  # P, the mean over them


def risk_coverage(dice: Values, uncertainties: Values) -> RiskCoverage:
    """For each number of patients, the surest first; equally sure ones in the order given. No value may be NaN.

    Source: El-Yaniv and Wiener 2010, "On the foundations of noise-free selective classification", with Dice for risk.
    """
    surest = dice[np.argsort(uncertainties, kind="stable")]
    counts = np.arange(1, len(dice) + 1)
    return RiskCoverage(counts / len(dice), np.cumsum(surest) / counts)


def summary(curve: RiskCoverage) -> dict[str, float]:
    """The mean Dice of the surest 80 % and 90 % of the patients, and over all coverages; beside it that of all."""
    named = {
        f"surest_{coverage:.0%}".replace("%", "_percent"): float(curve.dice[np.searchsorted(curve.coverage, coverage)])
        for coverage in COVERAGES
    }
    return {**named, "mean_over_coverages": float(curve.dice.mean()), "all": float(curve.dice[-1])}
