"""The tables that the stages of the LGG pipeline hand on: slices.csv, split.csv and weights.csv.

slices.csv   slice,patient,institution,number,tumour_px   `slice` is the row of images.npy and masks.npy
split.csv    patient,subset                               `subset` is train or validation
weights.csv  slice,weight                                 training slices only; the weights sum to 1
"""

from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.errors import BadInput

Subset = Literal["train", "validation"]
SLICES = {"slice": "int64", "patient": "str", "institution": "str", "number": "int64", "tumour_px": "int64"}
SPLIT = {"patient": "str", "subset": "str"}
WEIGHTS = {"slice": "int64", "weight": "float64"}


def read_slices(path: Path) -> pd.DataFrame:
    """One row a slice, in the order of the arrays."""
    return _read(path, SLICES)


def read_split(path: Path) -> pd.DataFrame:
    """One row a patient."""
    return _read(path, SPLIT)


def read_weights(path: Path) -> pd.DataFrame:
    """One row a training slice, ascending."""
    return _read(path, WEIGHTS)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write any of the tables; floats keep all their bits, lines end in a bare newline."""
    table.to_csv(path, index=False, lineterminator="\n", float_format="%.17g")


def rows(slices: pd.DataFrame, split: pd.DataFrame, subset: Subset) -> NDArray[np.int64]:
    """The slices of the patients in `subset`, ascending.

    Raises:
        BadInput: a patient of `slices` stands in no subset.
    """
    subset_of = dict(zip(split["patient"], split["subset"], strict=True))
    if homeless := sorted(set(slices["patient"]) - set(subset_of)):
        raise BadInput(f"split: patient {homeless[0]} of the slices is in no subset; run dvc repro lgg-split")
    chosen = slices["patient"].map(subset_of) == subset
    return slices.loc[chosen, "slice"].to_numpy(dtype=np.int64)


def _read(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=columns, keep_default_na=False, float_precision="round_trip")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro") from None
    except ValueError as error:
        raise BadInput(f"{path}: not a table of {', '.join(columns)} ({error}); run dvc repro") from None
    if list(table.columns) != list(columns):
        found = ", ".join(map(str, table.columns))
        raise BadInput(f"{path}: has columns {found}, not {', '.join(columns)}; run dvc repro")
    return table
