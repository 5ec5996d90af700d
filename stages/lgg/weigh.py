"""Weigh the training slices, so that sampling by weight favours those with tumour.

In   slices.csv     its columns slice, patient and tumour_px
     split.csv      which patients train
Out  weights.csv    slice,weight for the training slices, ascending; the weights sum to 1
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput
from stages.lgg.tables import read_slices, read_split, rows, write_table


def weigh(tumour_px: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weights of n slices by their `tumour_px`, a_1..a_n with the sum A; both (n).

    w_i = (a_i + 0.1·A/n) / (1.1·A): ten elevenths in proportion to the tumour, one eleventh in equal shares, so
    that a slice without tumour is drawn too. Source: RStudio AI blog, "Brain image segmentation with torch".

    Raises:
        BadInput: A is 0, so that no weight is defined.
    """
    n, total = len(tumour_px), int(tumour_px.sum())
    if total == 0:
        raise BadInput("no slice of the training patients has tumour, so none can be weighed; change lgg.split")
    return (tumour_px.astype(np.float64) + 0.1 * total / n) / (1.1 * total)


def main(slices: Path, split: Path, *, weights: Path) -> None:
    """Weigh the training slices of SLICES, those of the patients whom SPLIT has in its subset train."""
    table = read_slices(slices)
    chosen = rows(table, read_split(split), "train")
    weighed = pd.DataFrame({"slice": chosen, "weight": weigh(table["tumour_px"].to_numpy(dtype=np.int64)[chosen])})
    with staged(weights) as (part,):
        write_table(weighed, part)


if __name__ == "__main__":
    run(main)
