"""The noisy points that the stages of the regression hand on: points.csv, columns `x,y,true_mean,true_sigma`.

One row a point, x ascending; true_mean and true_sigma are those that y was drawn with. All are dimensionless.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from stages.errors import BadInput

Noise = Literal["constant", "growing"]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
COLUMNS = ("x", "y", "true_mean", "true_sigma")
FEWEST_POINTS = 3  # two leave least squares no residual, and so no σ


def write_points(table: pd.DataFrame, path: Path) -> None:
    """Write points.csv: floats as their shortest exact decimals, lines ended by a bare newline."""
    table.to_csv(path, index=False, lineterminator="\n")


def read_points(path: Path) -> pd.DataFrame:
    """Read points.csv.

    Raises:
        BadInput: no such file, other columns, fewer than 3 points, a value that is not finite,
            x not ascending, or a σ that is not positive.
    """
    try:
        table = pd.read_csv(path, dtype="str").astype("float64")  # exact, which pandas' own parser is not before 3.1
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro") from None
    except ValueError as error:
        raise BadInput(f"{path}: not a table of numbers ({' '.join(str(error).split())}); run dvc repro") from None
    if problem := _problem(table):
        raise BadInput(f"{path}: {problem}; run dvc repro")
    return table


def _problem(table: pd.DataFrame) -> str | None:
    if list(table.columns) != list(COLUMNS):
        return f"has columns {', '.join(map(str, table.columns))}, not {', '.join(COLUMNS)}"
    if len(table) < FEWEST_POINTS:
        return f"has {len(table)} points; a line and its noise need {FEWEST_POINTS}"
    if not np.isfinite(table.to_numpy()).all():
        return "holds a value that is missing or not finite"
    if not (np.diff(table["x"]) > 0).all():
        return "x does not ascend"
    if not (table["true_sigma"] > 0).all():
        return "true_sigma is not positive everywhere"
    return None
