"""Say what changed between two versions of what lgg-pack writes: patients, slices, and the files that differ.

In   two folders, each with the outputs of lgg-pack in one version, under their paths from the repository's root:
     slices.csv              see stages.lgg.tables
     images.npy, masks.npy   N ..., a row a slice
     patients.csv, truth.npz
Out  lines on stdout

N slices. A stage names this command in dvc.yaml as `meta: {diff: python -m stages.lgg.compare}`.
"""

from collections.abc import Iterator, Mapping
from filecmp import cmp
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from stages.command import run
from stages.errors import BadInput
from stages.lgg.changes import TABLE, VERSIONS, Array, Slices, compare_slices
from stages.lgg.tables import SLICES, read_slices

ARRAYS = ("images.npy", "masks.npy")
WHOLE = ("patients.csv", "truth.npz")
"""Of these no more is told than whether they are the same."""
MOST = 5  # names that a line lists

Pair = tuple[Path, Path]
"""One file in the old and in the new version."""


def describe(old: Path, new: Path) -> Iterator[str]:
    """Yield in lines how the table and the arrays in the folder `new` differ from those in the folder `old`.

    A file that is missing or broken is named in a line, and the rest is compared.
    """
    yield from _rows(old, new)
    for name in WHOLE:
        pair = old / name, new / name
        there = [path.is_file() for path in pair]
        if all(there) and not cmp(*pair, shallow=False):
            yield f"{name}: not the same"
        elif any(there) and not all(there):
            yield f"{name}: only in {VERSIONS[there.index(True)]}"


def _rows(old: Path, new: Path) -> Iterator[str]:
    """The table of slices and the arrays."""
    files = {name: (old / name, new / name) for name in (TABLE, *ARRAYS)}
    if all(_same(pair) for pair in files.values()):
        yield "patients and slices: the same"
        return
    try:
        a, b = _tables(files[TABLE])
    except BadInput as error:
        yield str(error)
        return
    arrays, notes = _arrays(files, a, b)
    found = compare_slices(a, b, arrays)
    yield from _summary(found)
    yield from [*notes, *found.notes]


def _summary(found: Slices) -> Iterator[str]:
    """In numbers, and a few names of each kind."""
    yield f"patients: {found.patients}"
    yield from (f"  {word}: {_some(names)}" for word, names in found.patients.names())
    yield f"slices: {found.slices}"
    for word, keys in found.slices.names():
        yield f"  {word}: {_some([f'{patient} {number}' for patient, number in keys])}"
    if found.differing:
        yield "  differing in " + ", ".join(f"{name}: {count:,}" for name, count in found.differing.items())


def _same(pair: Pair) -> bool:
    """Whether both are links to one file, which need not be read, or neither is there."""
    there = [path.is_file() for path in pair]
    return pair[0].samefile(pair[1]) if all(there) else not any(there)


def _require(pair: Pair, what: str) -> None:
    for path, version in zip(pair, VERSIONS, strict=True):
        if not path.is_file():
            raise BadInput(f"{what} is not in {version}: not compared")


def _tables(pair: Pair) -> list[pd.DataFrame]:
    _require(pair, "the table")
    return [_read(path, version) for path, version in zip(pair, VERSIONS, strict=True)]


def _read(path: Path, version: str) -> pd.DataFrame:
    try:
        return read_slices(path)
    except BadInput:  # its words are for the workspace, and this is a file of the cache
        raise BadInput(f"the table of {version} is not one of {', '.join(SLICES)}: not compared") from None


def _arrays(
    files: Mapping[str, Pair], a: pd.DataFrame, b: pd.DataFrame
) -> tuple[dict[str, tuple[Array, Array]], list[str]]:
    """The arrays that must be looked at, by file name, and why others cannot be."""
    both = a.merge(b, on=["patient", "number"], suffixes=("_a", "_b"))
    moved = bool((both["slice_a"] != both["slice_b"]).any())  # then slices may differ within one and the same file
    arrays, notes = {}, []
    for name in ARRAYS:
        left, right = pair = files[name]
        if _same(pair) and not (moved and left.is_file()):
            continue
        try:
            _require(pair, name)
            arrays[name] = _map(left, len(a), VERSIONS[0]), _map(right, len(b), VERSIONS[1])
        except BadInput as error:
            notes.append(str(error))
    return arrays, notes


def _map(path: Path, count: int, version: str) -> Array:
    """The array of `count` slices, mapped into memory rather than loaded."""
    try:
        array: Any = np.load(path, mmap_mode="r")
        if isinstance(array, np.ndarray) and array.ndim and len(array) == count:
            return array
    except (ValueError, EOFError):
        pass
    raise BadInput(f"{path.name} of {version} is no array of {count:,} slices: not compared")


def _some(names: list[str]) -> str:
    """The first of the names, and how many more there are."""
    more = [f"{len(names) - MOST:,} more"] if len(names) > MOST else []
    return ", ".join([*names[:MOST], *more])


def main(old: Path, new: Path) -> None:
    """Say what became of patients and slices from the version in the folder OLD to the version in the folder NEW.

    A folder holds the outputs of lgg-pack under their paths from the repository's root. A file that one version does
    not have is missing there. A file to which both folders link is not read.
    """
    for folder in (old, new):
        if not folder.is_dir():
            raise BadInput(f"{folder}: no such folder; give two folders of outputs of lgg-pack")
    places = sorted({path.relative_to(folder).parent for folder in (old, new) for path in folder.rglob(TABLE)})
    if not places:
        raise BadInput(f"{old} and {new}: no {TABLE} in either; give two folders of outputs of lgg-pack")
    for place in places:
        if len(places) > 1:
            print(place / TABLE)
        for line in describe(old / place, new / place):
            print(f"  {line}" if len(places) > 1 else line)


if __name__ == "__main__":
    run(main)
