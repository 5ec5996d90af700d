"""The tables that the stages of the LGG pipeline hand on: slices.csv, split.csv and weights.csv.

slices.csv   slice,patient,institution,number,tumour_px   `slice` is the row of images.npy and masks.npy
split.csv    patient,subset                               `subset` is train or validation
weights.csv  slice,weight                                 training slices only; the weights sum to 1
"""

import math
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
    """One row a slice, in the order of the arrays.

    Raises:
        BadInput: no such file, no such table, or `slice` does not count its rows from 0.
    """
    table = _read(path, SLICES)
    _require(path, np.array_equal(table["slice"], np.arange(len(table))), "column slice does not count 0, 1, 2 ...")
    _require(path, not table.duplicated(["patient", "number"]).any(), "a slice of a patient stands there twice")
    _require(path, bool((table["tumour_px"] >= 0).all()), "column tumour_px has a negative number")
    return table


def read_split(path: Path) -> pd.DataFrame:
    """One row a patient.

    Raises:
        BadInput: no such file, no such table, a patient twice, or a subset other than train and validation.
    """
    table = _read(path, SPLIT)
    _require(path, table["patient"].is_unique, "a patient stands there twice")
    _require(path, bool(table["subset"].isin(["train", "validation"]).all()), "a subset is not train or validation")
    return table


def read_weights(path: Path) -> pd.DataFrame:
    """One row a training slice, ascending.

    Raises:
        BadInput: no such file, no such table, slices out of order, or weights that are no probabilities.
    """
    table = _read(path, WEIGHTS)
    _require(path, bool((table["slice"].diff().iloc[1:] > 0).all()), "column slice does not ascend")
    probabilities = bool((table["weight"] >= 0).all()) and math.isclose(table["weight"].sum(), 1, abs_tol=1e-9)
    _require(path, probabilities, "column weight does not sum to 1, or has a negative number")
    return table


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write any of the tables; a float as its repr, so that all its bits are kept; lines end in a bare newline."""
    table.to_csv(path, index=False, lineterminator="\n")


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
        text = pd.read_csv(path, dtype="str", keep_default_na=False)
        if list(text.columns) != list(columns):
            raise ValueError(f"its columns are {', '.join(text.columns)}")
        table = text.astype(columns)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro") from None
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise BadInput(f"{path}: not a table of {', '.join(columns)} ({reason}); run dvc repro") from None
    _require(path, len(table) > 0, "it has no row")
    return table


def _require(path: Path, holds: bool, otherwise: str) -> None:
    if not holds:
        raise BadInput(f"{path}: {otherwise}; run dvc repro")
