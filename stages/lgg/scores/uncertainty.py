"""How sure a network is of a patient, and whether it knows the patients on whom it fails.

Shapes: P patients.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from stages.lgg.scores.metrics import Values

COVERAGES = (0.8, 0.9)


def uncertainty(slices: pd.DataFrame) -> float:
    """The entropy of a whole volume for each pixel of tumour that is to be expected; from its slices.

    They have the columns `entropy` and `probability` of `calibration.loss_sums`.

    An outline that is unsure all round a large tumour counts as a part of it; a small one that may not be there counts
    in full. At least one pixel is taken as expected.
    """
    totals = slices[["entropy", "probability"]].sum()
    return float(totals["entropy"] / max(totals["probability"], 1.0))


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
