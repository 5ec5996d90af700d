"""Gather the folds: every patient scored by a network that was not trained on him.

Inputs:  a folder with a table of each fold, 1.csv … K.csv, of lgg-fold
Outputs: one table with a row a patient; metrics (JSON); a figure (PNG)
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput
from stages.lgg.scores import uncertainty
from stages.lgg.scores.metrics import BOOTSTRAP_SEED, as_json, by_institution, dice_per_volume
from stages.lgg.scores.uncertainty import RiskCoverage, risk_coverage
from stages.lgg.tables import read_scores

FAILED = 0.5  # per-volume Dice below which a patient counts as one on whom the network fails


def gather(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """All patients by name.

    Raises:
        BadInput: a patient stands in two folds.
    """
    table = pd.concat(tables, ignore_index=True).sort_values("patient", ignore_index=True)
    if not table["patient"].is_unique:
        twice = table["patient"][table["patient"].duplicated()].iloc[0]
        raise BadInput(f"patient {twice} stands in two folds; run dvc repro lgg-fold")
    return table


def measure(table: pd.DataFrame) -> dict[str, Any]:
    """Of a table of all folds: per-volume Dice over all patients, by institution, by fold, failures and certainty."""
    defined = table.dropna(subset="dice")
    failed = defined[defined["dice"] < FAILED].sort_values("dice", kind="stable")
    return {
        **dice_per_volume(table["dice"], np.random.default_rng(BOOTSTRAP_SEED)),
        "by_institution": by_institution(table),
        "by_fold": {str(fold): float(some["dice"].mean()) for fold, some in table.groupby("fold")},
        "patients_below_0.5": dict(zip(failed["patient"], failed["dice"], strict=True)),
        "dice_per_volume_mean_of_the_surest": uncertainty.summary(_curve(defined)),
        "patients": len(table),
    }


def _curve(defined: pd.DataFrame) -> RiskCoverage:
    dice, uncertainties = (defined[name].to_numpy(dtype=np.float64) for name in ("dice", "uncertainty"))
    return risk_coverage(dice, uncertainties)


def draw(table: pd.DataFrame) -> Figure:
    """The Dice of every patient, lowest first; beside it the mean over the patients of whom the network is surest."""
    defined = table.dropna(subset="dice").sort_values("dice", kind="stable")
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    places = np.arange(1, len(defined) + 1)
    for institution in sorted(defined["institution"].unique()):
        own = (defined["institution"] == institution).to_numpy()
        left.plot(places[own], defined["dice"][own], "o", markersize=4, label=f"{institution} ({own.sum()})")
    left.axhline(defined["dice"].mean(), color="black", linewidth=0.8, label=f"mean {defined['dice'].mean():.3f}")
    left.set(xlabel="patients, lowest first", ylabel="Dice per volume, out of fold", ylim=(0, 1))
    left.legend(frameon=False)
    curve = _curve(defined)
    right.plot(100 * curve.coverage, curve.dice, label="surest patients first")
    right.axhline(curve.dice[-1], color="black", linewidth=0.8, label="all patients, or any order")
    right.set(xlabel="% of patients that are kept", ylabel="mean Dice per volume of those", ylim=(0, 1))
    right.legend(frameon=False, loc="lower left")
    return figure


def main(folder: Path, *, table: Path, metrics: Path, figure: Path) -> None:
    """Put the tables of all folds in FOLDER into TABLE, their metrics into METRICS and a picture into FIGURE."""
    paths = sorted(folder.glob("*.csv"))
    if not paths:
        raise BadInput(f"{folder}: holds no table of a fold; run dvc repro lgg-fold")
    whole = gather([read_scores(path) for path in paths])
    found = measure(whole)
    with staged(table, metrics, figure) as (rows, numbers, picture):
        whole.to_csv(rows, index=False, na_rep="nan", float_format="%.17g", lineterminator="\n")
        numbers.write_text(as_json(found))
        draw(whole).savefig(picture, metadata={"Software": None})
    low, high = found["dice_per_volume_mean_ci95_low"], found["dice_per_volume_mean_ci95_high"]
    print(
        f"out of fold: dice_per_volume_mean {found['dice_per_volume_mean']:.3f} (95 % interval {low:.3f} to "
        f"{high:.3f}, {found['dice_per_volume_patients']} patients), minimum {found['dice_per_volume_min']:.3f}"
    )


if __name__ == "__main__":
    run(main)
