"""The tables that the stages of the LGG pipeline hand on: slices.csv, patients.csv, split.csv and weights.csv.

slices.csv    slice,patient,institution,number,tumour_px   `slice` is the row of images.npy and masks.npy
patients.csv  patient,institution,height,width,row_mm,column_mm,slice_mm,missing
              height and width of a slice of the scan, in px; mm between rows, columns and slices, empty where unknown;
              the sequences that FLAIR stands in for: pre and post, with a space between
split.csv     patient,subset                               `subset` is train or validation
weights.csv   slice,weight                                 training slices only; the weights sum to 1
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.errors import BadInput

Subset = Literal["train", "validation"]
SLICES = {"slice": "int64", "patient": "str", "institution": "str", "number": "int64", "tumour_px": "int64"}
SPACING = ("row_mm", "column_mm", "slice_mm")
PATIENTS = {
    "patient": "str", "institution": "str", "height": "int64", "width": "int64", **dict.fromkeys(SPACING, "float64"),
    "missing": "str",
}  # fmt: skip
MISSING = ("", "pre", "post", "pre post")
SPLIT = {"patient": "str", "subset": "str"}
WEIGHTS = {"slice": "int64", "weight": "float64"}
SCORES = ("fold", "patient", "institution", "dice", "uncertainty")  # of a fold, and of all of them; there are more


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


def read_patients(path: Path) -> pd.DataFrame:
    """One row a patient, in the order of the arrays; mm are nan where nobody knows them.

    Raises:
        BadInput: no such file, no such table, a patient twice, a size or spacing that is not positive, a spacing known
            in part, or another missing sequence than pre and post.
    """
    table = _read(path, PATIENTS)
    spacing = table[list(SPACING)]
    _require(path, table["patient"].is_unique, "a patient stands there twice")
    _require(path, bool((table[["height", "width"]] > 0).all(axis=None)), "a height or width is not positive")
    _require(
        path, bool(((spacing > 0) & np.isfinite(spacing) | spacing.isna()).all(axis=None)), "a spacing is no length"
    )
    _require(path, bool(spacing.isna().sum(axis=1).isin([0, 3]).all()), "a spacing is known in part")
    _require(path, bool(table["missing"].isin(MISSING).all()), "column missing has more than pre and post")
    return table


def spacings(patients: pd.DataFrame) -> dict[str, tuple[float, float, float]]:
    """Of the patients whose spacing is known: mm from row to row, from column to column, from slice to slice."""
    known = patients.dropna(subset=list(SPACING))
    values = known[list(SPACING)].to_numpy(dtype=np.float64).tolist()
    return {
        str(name): (row, column, between) for name, (row, column, between) in zip(known["patient"], values, strict=True)
    }


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


def read_scores(path: Path, columns: Sequence[str] = SCORES, advice: str = "run dvc repro lgg-fold") -> pd.DataFrame:
    """The table of a fold, of all, or of an evaluation, with these columns at least; `advice` ends an error.

    Raises:
        BadInput: no such file, not such a table, or a patient stands there twice.
    """
    try:
        table = pd.read_csv(path, dtype={"patient": str, "institution": str}, keep_default_na=False, na_values=["nan"])
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; {advice}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: not a table ({' '.join(str(error).split())}); {advice}") from None
    if missing := [name for name in columns if name not in table]:
        raise BadInput(f"{path}: has no column {missing[0]}; {advice}")
    if not table["patient"].is_unique:
        raise BadInput(f"{path}: patient {table['patient'][table['patient'].duplicated()].iloc[0]} stands there twice")
    return table


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
        numbers = [name for name in SPACING if name in columns]
        text[numbers] = text[numbers].replace("", "nan")  # unknown; an empty cell of any other number is an error
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
