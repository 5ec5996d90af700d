"""What a comparison of arms comes to: means and differences with two 95 % intervals each; and its figure.

`table` has a row for each seed, arm and patient: seed, arm, patient, dice_per_volume (NaN where it is undefined).
Both intervals are of the mean over patients and seeds. One is over patients: for each its mean over seeds, drawn anew
10,000 times (Efron 1979). One is over seeds: for each its mean over patients, ± t · s / √n (Student 1908).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from stages.lgg.scores.metrics import BOOTSTRAP_SEED, bootstrap_interval
from stages.seeds import interval

SCORE = "dice_per_volume"
Pairs: TypeAlias = Sequence[tuple[str, str]]  # (arm, the arm that is subtracted from it)
Values: TypeAlias = pd.DataFrame  # a row a patient, a column a seed


class Estimate(NamedTuple):
    """A mean over patients and seeds, and its intervals."""

    mean: float
    over_patients: tuple[float, float]
    over_seeds: tuple[float, float]

    def named(self) -> dict[str, float]:
        """By name, as in the metrics."""
        (low, high), (lowest, highest) = self.over_patients, self.over_seeds
        return {
            "mean": self.mean,
            "95_low_over_patients": low, "95_high_over_patients": high,
            "95_low_over_seeds": lowest, "95_high_over_seeds": highest,
        }  # fmt: skip


def estimate(values: Values) -> Estimate:
    """The mean of `values` with its intervals; there are at least two seeds, and NaN counts nowhere."""
    patients = values.mean(axis=1).dropna().to_numpy(dtype=np.float64)
    over_patients = bootstrap_interval(patients, np.random.default_rng(BOOTSTRAP_SEED))
    seeds = interval(values.mean(axis=0).to_numpy(dtype=np.float64))
    return Estimate(float(patients.mean()), over_patients, (seeds.low, seeds.high))


def summary(table: pd.DataFrame, pairs: Pairs) -> dict[str, dict[str, dict[str, float]]]:
    """By arm, and by "one minus other", the mean per-volume Dice and the ends of its intervals."""
    return {
        f"{SCORE}_mean_difference": {
            f"{one} minus {other}": estimate(values).named() for (one, other), values in _differences(table, pairs)
        },
        f"{SCORE}_mean": {arm: estimate(values).named() for arm, values in _by_arm(table).items()},
    }


def draw(table: pd.DataFrame, pairs: Pairs, path: Path) -> None:
    """The mean per-volume Dice of each arm; beside it the differences between arms, patient by patient."""
    arms, differences = _by_arm(table), {f"{a}\nminus {b}": values for (a, b), values in _differences(table, pairs)}
    figure = Figure(figsize=(11, 1.5 + 0.55 * max(len(arms), len(differences))), layout="constrained")
    left, right = figure.subplots(1, 2)
    _intervals(left, arms)
    left.set_xlim(0, 1)  # an interval over few seeds may reach beyond
    left.set_xlabel("mean per-volume Dice")
    _intervals(right, differences)
    right.axvline(0, color="black", linewidth=0.8)
    right.set_xlabel("difference of mean per-volume Dice")
    handles, labels = left.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    figure.savefig(path, metadata={"Software": None})  # else the file names the release of matplotlib


def _by_arm(table: pd.DataFrame) -> dict[str, Values]:
    """The values of each arm, in the order of the table."""
    return {
        str(arm): table[table["arm"] == arm].pivot(index="patient", columns="seed", values=SCORE)
        for arm in table["arm"].unique()
    }


def _differences(table: pd.DataFrame, pairs: Pairs) -> list[tuple[tuple[str, str], Values]]:
    """What one arm has more than another, for each patient and seed."""
    arms = _by_arm(table)
    return [((one, other), arms[one] - arms[other]) for one, other in pairs]


def _intervals(axes: Axes, rows: Mapping[str, Values]) -> None:
    for place, values in enumerate(rows.values()):
        patients, found = values.mean(axis=1).dropna(), estimate(values)
        named = place == 0
        axes.plot(
            patients, np.full(len(patients), place), "o", color="0.75", markersize=3,
            label=f"each of {len(patients)} patients, its mean over seeds" if named else None,
        )  # fmt: skip
        both = (
            (0.18, found.over_patients, "C0", "mean and 95 % interval over patients"),
            (0.36, found.over_seeds, "C1", f"mean and 95 % interval over {values.shape[1]} seeds"),
        )
        for above, (low, high), colour, label in both:
            axes.plot([low, high], [place - above] * 2, color=colour)
            axes.plot(found.mean, place - above, "o", color=colour, markersize=5, label=label if named else None)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.8)  # the first on top
    axes.grid(axis="x", color="0.9")
