"""Split the patients into training and validation, or into folds; never the slices of one patient.

In   slices.csv    its column patient
Out  split.csv     patient,subset by patient; subset is train or validation
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadParameters
from stages.lgg.tables import read_slices, write_table
from stages.params import STRICT_KEYS, load


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class SplitParams:
    """The section lgg.split."""

    seed: int
    """Stands for the order in which patients are drawn."""
    validation: Annotated[int, Field(ge=0)]
    """Patients to validate on; the others train, with 0 all of them. Not used when folds are given."""
    folds: Annotated[int, Field(ge=2)] | None
    """K: cut the patients into K folds, whose sizes differ by one at most; null for a single split."""
    fold: Annotated[int, Field(ge=1)] | None
    """The fold to validate on, 1 to K; null when folds is."""

    @field_validator("fold")
    @classmethod
    def _one_of_the_folds(cls, fold: int | None, info: ValidationInfo) -> int | None:
        folds = info.data.get("folds", fold)  # absent when folds itself was refused
        if folds is None and fold is not None:
            raise ValueError("folds is null; give both, or null for both")
        if folds is not None and (fold is None or fold > folds):
            raise ValueError(f"folds is {folds}; give one from 1 to {folds}")
        return fold


def split_patients(patients: Iterable[str], params: SplitParams) -> pd.DataFrame:
    """Assign each of `patients`, however often and in whatever order they are named: split.csv.

    They are drawn in the order of the SHA-256 of "<seed>/<patient>": the same everywhere, and a patient
    who joins or leaves does not move the others. Fold k of K takes every K-th of them, from the k-th on.

    Raises:
        BadParameters: no patient would be left to train on, or there are fewer patients than folds.
    """
    drawn = sorted(set(patients), key=lambda patient: hashlib.sha256(f"{params.seed}/{patient}".encode()).digest())
    chosen = set(_chosen(drawn, params))
    subsets = [(patient, "validation" if patient in chosen else "train") for patient in sorted(drawn)]
    return pd.DataFrame(subsets, columns=["patient", "subset"])


def _chosen(drawn: list[str], params: SplitParams) -> list[str]:
    if params.folds is not None and params.fold is not None:
        if params.folds > len(drawn):
            raise BadParameters(f"params.yaml: lgg.split.folds is {params.folds}: there are {len(drawn)} patients")
        return drawn[params.fold - 1 :: params.folds]
    if params.validation >= len(drawn):
        reason = f"of {len(drawn)} patients at least one must train"
        raise BadParameters(f"params.yaml: lgg.split.validation is {params.validation}: {reason}")
    return drawn[: params.validation]


def main(slices: Path, *, split: Path) -> None:
    """Assign every patient of SLICES, the table of lgg-pack, to training or validation."""
    table = split_patients(read_slices(slices)["patient"], load(SplitParams, "lgg.split"))
    with staged(split) as (part,):
        write_table(table, part)


if __name__ == "__main__":
    run(main)
