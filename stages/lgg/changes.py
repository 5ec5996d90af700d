"""What changed between two versions of the table of slices and the arrays beside it.

slices.csv              slice,patient,institution,number,tumour_px   `slice` is a row of the arrays
images.npy, masks.npy   N ...

N slices, another number in each version.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

TABLE = "slices.csv"
VERSIONS = ("the old version", "the new version")

Name = TypeVar("Name", bound=Hashable)
Array = NDArray[Any]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Compared(Generic[Name]):
    """The names of one kind in two versions, sorted, and how many are the same in both."""

    added: list[Name]
    removed: list[Name]
    changed: list[Name]
    same: int

    def __str__(self) -> str:
        """How many names were added, removed and changed, and how many are the same."""
        counts = {"added": len(self.added), "removed": len(self.removed), "changed": len(self.changed)}
        return ", ".join([*(f"{count:,} {word}" for word, count in counts.items()), f"{self.same:,} the same"])

    def names(self) -> Iterator[tuple[str, list[Name]]]:
        """The names that are not the same, under the word for what became of them."""
        pairs = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        yield from ((word, names) for word, names in pairs if names)


@dataclass(frozen=True)
class Slices:
    """How two tables with their arrays compare."""

    patients: Compared[str]
    """Changed is a patient in both versions, any slice of whom was added, removed or changed."""
    slices: Compared[tuple[str, int]]
    """By patient and number."""
    differing: dict[str, int]
    """By file name, how many of the slices in both versions differ in that file; files without any are left out."""
    notes: list[str]
    """Why all slices of an array count as changed."""


def compare(a: Iterable[Name], b: Iterable[Name], same: Callable[[Name], bool]) -> Compared[Name]:
    """Compare the names `b` with `a`, the old ones; `same` judges a name that is in both."""
    before, after = set(a), set(b)
    both = sorted(before & after, key=str)
    changed = [name for name in both if not same(name)]
    added, removed = sorted(after - before, key=str), sorted(before - after, key=str)
    return Compared(added, removed, changed, len(both) - len(changed))


def compare_slices(a: pd.DataFrame, b: pd.DataFrame, arrays: Mapping[str, tuple[Array, Array]]) -> Slices:
    """Compare table `a`, the old one, with `b`, and the pairs of arrays beside them, which `arrays` has by file name.

    A patient and a number name a slice. It changed if another column differs, but for `slice`, which only says
    where it lies, or if its bytes differ in one of the arrays. One slice is held in memory at a time.
    """
    joined = a.merge(b, how="outer", on=["patient", "number"], suffixes=("_a", "_b"), indicator="side")
    both = joined[joined["side"] == "both"]
    differs, notes = _differing(both, arrays)
    changed = np.logical_or.reduce(list(differs.values()))
    slices = Compared(
        _keys(joined[joined["side"] == "right_only"]),
        _keys(joined[joined["side"] == "left_only"]),
        _keys(both[changed]),
        int((~changed).sum()),
    )
    touched = {patient for _, keys in slices.names() for patient, _ in keys}
    patients = compare(a["patient"], b["patient"], lambda patient: patient not in touched)
    return Slices(patients, slices, {name: int(flags.sum()) for name, flags in differs.items() if flags.any()}, notes)


def _differing(both: pd.DataFrame, arrays: Mapping[str, tuple[Array, Array]]) -> tuple[dict[str, Flags], list[str]]:
    """By file, which of the slices in both versions differ in it, and why all of them do where that is so."""
    columns = [name.removesuffix("_a") for name in both.columns if name.endswith("_a") and name != "slice_a"]
    differs, notes = {TABLE: np.zeros(len(both), dtype=bool)}, []
    for column in columns:
        differs[TABLE] |= (both[f"{column}_a"] != both[f"{column}_b"]).to_numpy(dtype=bool)
    for name, (left, right) in arrays.items():
        if (kinds := [_kind(left), _kind(right)])[0] != kinds[1]:
            differs[name] = np.ones(len(both), dtype=bool)
            held = " and ".join(f"{kind} in {version}" for kind, version in zip(kinds, VERSIONS, strict=True))
            notes.append(f"a slice of {name} is {held}: every common slice is changed")
        else:
            differs[name] = _unlike(left, right, both["slice_a"], both["slice_b"])
    return differs, notes


def _unlike(left: Array, right: Array, here: "pd.Series[Any]", there: "pd.Series[Any]") -> Flags:
    """Whether the bytes of slices differ, which lie in these rows of the two arrays; so NaN equals itself."""
    rows = zip(here.astype(int), there.astype(int), strict=True)
    return np.fromiter((left[i].tobytes() != right[j].tobytes() for i, j in rows), dtype=bool, count=len(here))


def _kind(array: Array) -> str:
    shape = " × ".join(str(side) for side in array.shape[1:])
    return " ".join([*([shape] if shape else []), str(array.dtype)])


def _keys(found: pd.DataFrame) -> list[tuple[str, int]]:
    return [(str(patient), int(number)) for patient, number in zip(found["patient"], found["number"], strict=True)]
