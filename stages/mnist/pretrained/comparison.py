"""What a comparison of arms comes to: means with 95 % intervals, of each arm and of differences; and its figure.

`table` has a row for each seed and arm: seed, arm, test_accuracy (a fraction), test_mean_cross_entropy (nats).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.seeds import Interval, interval

SCORES = ("test_accuracy", "test_mean_cross_entropy")
Pairs: TypeAlias = Sequence[tuple[str, str]]  # (arm, the arm that is subtracted from it)


def summary(table: pd.DataFrame, pairs: Pairs) -> dict[str, dict[str, dict[str, float]]]:
    """By score and its difference, then by arm or "one minus other", the mean and the ends of its interval."""
    found = {}
    for score in SCORES:
        differences = _differences(table, score, pairs)
        found[f"{score}_difference"] = {
            f"{one} minus {other}": _named(interval(values)) for (one, other), values in differences.items()
        }
        found[score] = {arm: _named(interval(values)) for arm, values in _by_arm(table, score).items()}
    return found


def draw(table: pd.DataFrame, pairs: Pairs, path: Path) -> None:
    """Accuracy of each arm, seed by seed and with its interval; beside it the differences between arms."""
    arms, differences = _by_arm(table, SCORES[0]), _differences(table, SCORES[0], pairs)
    figure = Figure(figsize=(11, 1.2 + 0.5 * max(len(arms), len(differences))), layout="constrained")
    left, right = figure.subplots(1, 2)
    _intervals(left, arms)
    left.set_xlabel("accuracy on the turned test digits, %")
    _intervals(right, {f"{one}\nminus {other}": values for (one, other), values in differences.items()})
    right.axvline(0, color="black", linewidth=0.8)
    right.set_xlabel("difference of accuracy, percentage points")
    seeds = len(next(iter(arms.values())))
    figure.suptitle(f"Grey: each of {seeds} seeds. Blue: their mean and its 95 % interval")
    figure.savefig(path, metadata={"Software": None})  # else the file names the release of matplotlib


def _by_arm(table: pd.DataFrame, score: str) -> dict[str, NDArray[np.float64]]:
    """The score of each arm, in the order of the table, seeds ascending."""
    wide = table.pivot(index="seed", columns="arm", values=score)
    return {arm: wide[arm].to_numpy(dtype=np.float64) for arm in table["arm"].unique()}


def _differences(table: pd.DataFrame, score: str, pairs: Pairs) -> dict[tuple[str, str], NDArray[np.float64]]:
    """What one arm has more than another, seed by seed."""
    arms = _by_arm(table, score)
    return {(one, other): arms[one] - arms[other] for one, other in pairs}


def _named(found: Interval) -> dict[str, float]:
    return {"mean": found.mean, "95_low": found.low, "95_high": found.high}


def _intervals(axes: Axes, rows: Mapping[str, NDArray[np.float64]]) -> None:
    for place, values in enumerate(rows.values()):
        mean, low, high = (100 * value for value in interval(values))
        axes.plot(100 * values, np.full(len(values), place), "o", color="0.7", markersize=4)
        axes.errorbar(mean, place - 0.2, xerr=[[mean - low], [high - mean]], fmt="o", color="C0", capsize=4)
    axes.set_yticks(range(len(rows)), list(rows))
    axes.set_ylim(len(rows) - 0.5, -0.7)  # the first on top
    axes.grid(axis="x", color="0.9")
