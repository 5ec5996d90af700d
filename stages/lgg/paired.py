"""Set two recipes side by side, paired over patients: `python -m stages.lgg.paired OLD.csv NEW.csv`.

Inputs: two tables of lgg-folds, of the same patients.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from stages.command import run
from stages.errors import BadInput
from stages.lgg.folds import FAILED
from stages.lgg.scores.metrics import BOOTSTRAP_SEED, bootstrap_interval
from stages.lgg.tables import read_scores


class Difference(NamedTuple):
    """What the new recipe has more than the old one."""

    mean: float
    low: float
    """Of the 95 % interval over patients (Efron 1979, 10,000 draws)."""
    high: float
    patients: int
    better: int
    """Patients on whom the new one is better."""


def difference(old: pd.DataFrame, new: pd.DataFrame) -> Difference:
    """Of the per-volume Dice, patient by patient; who is undefined in either counts nowhere.

    Raises:
        BadInput: the tables are not of the same patients, or of none whose Dice is defined.
    """
    if unpaired := sorted(set(old["patient"]) ^ set(new["patient"])):
        raise BadInput(f"patient {unpaired[0]} stands in one of the tables only; both have to be of the same patients")
    both = (
        old.set_index("patient")["dice"].to_frame("old").join(new.set_index("patient")["dice"].rename("new")).dropna()
    )
    if both.empty:
        raise BadInput("no patient has a Dice in both tables")
    gains = (both["new"] - both["old"]).to_numpy(dtype=np.float64)
    low, high = bootstrap_interval(gains, np.random.default_rng(BOOTSTRAP_SEED))
    return Difference(float(gains.mean()), low, high, len(gains), int((gains > 0).sum()))


def main(old: Path, new: Path) -> None:
    """Print what the recipe of the table NEW has more than that of the table OLD."""
    tables = {path: read_scores(path) for path in (old, new)}
    found = difference(tables[old], tables[new])
    for path, table in tables.items():
        dice = table["dice"]
        failed = int((dice < FAILED).sum())
        print(f"{path}: mean {dice.mean():.3f}, minimum {dice.min():.3f}, {failed} of {dice.count()} below {FAILED}")
    print(
        f"difference of dice_per_volume_mean: {found.mean:+.3f} (95 % interval {found.low:+.3f} to {found.high:+.3f}, "
        f"{found.better} of {found.patients} patients better)"
    )


if __name__ == "__main__":
    run(main)
