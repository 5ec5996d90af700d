"""What changed between two data versions: patients, slices, outputs, metrics, and what their cards say besides.

Hashes come from the cards. Only where two of them differ are the tables of slices and the arrays beside them read:

slices.csv              slice,patient,institution,number,tumour_px   `slice` is a row of the arrays
images.npy, masks.npy   N ...
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from flows import versions
from flows.report import flat
from stages.errors import BadInput

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

TABLE, ARRAYS = "slices.csv", ("images.npy", "masks.npy")
WIDTH = 32  # characters of a metric's value
FOLDER = ".dir"  # ends the hash of a folder

Name = TypeVar("Name", bound=Hashable)


@dataclass(frozen=True)
class Compared(Generic[Name]):
    """The names of one kind in two versions, sorted, and how many are the same in both."""

    added: list[Name]
    removed: list[Name]
    changed: list[Name]
    same: int

    def __str__(self) -> str:
        """In numbers."""
        counts = {"added": len(self.added), "removed": len(self.removed), "changed": len(self.changed)}
        return ", ".join([*(f"{count:,} {word}" for word, count in counts.items()), f"{self.same:,} the same"])

    def names(self) -> Iterator[tuple[str, list[Name]]]:
        """Those that are not the same, under the word for what became of them."""
        pairs = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        yield from ((word, names) for word, names in pairs if names)


@dataclass(frozen=True)
class Slices:
    """Two tables with their arrays, compared."""

    patients: Compared[str]  # changed: a patient in both, any slice of whom was added, removed or changed
    slices: Compared[tuple[str, int]]  # patient and number
    differing: dict[str, int]  # how many of the changed slices differ in which file
    notes: list[str]


def compare(a: Iterable[Name], b: Iterable[Name], same: Callable[[Name], bool]) -> Compared[Name]:
    """The names of `b` against those of `a`; `same` judges one that is in both."""
    before, after = set(a), set(b)
    both = sorted(before & after, key=str)
    changed = [name for name in both if not same(name)]
    added, removed = sorted(after - before, key=str), sorted(before - after, key=str)
    return Compared(added, removed, changed, len(both) - len(changed))


def compare_slices(
    a: "pd.DataFrame",
    b: "pd.DataFrame",
    arrays: "Mapping[str, tuple[NDArray[Any], NDArray[Any]]]",
    called: tuple[str, str] = ("A", "B"),
) -> Slices:
    """Two tables of slices, and the pairs of arrays (N ... and M ..., N and M the lengths of the tables) by file name.

    A slice is known by its patient and number. It changed if another column differs, but for `slice`, which says only
    where it lies, or if its bytes differ in one of the arrays. One slice is held in memory at a time.
    """
    import numpy as np

    joined = a.merge(b, how="outer", on=["patient", "number"], suffixes=("_a", "_b"), indicator="side")
    both = joined[joined["side"] == "both"]
    columns = [name.removesuffix("_a") for name in joined.columns if name.endswith("_a") and name != "slice_a"]
    differs = {TABLE: np.zeros(len(both), dtype=bool)}
    for column in columns:
        differs[TABLE] |= (both[f"{column}_a"] != both[f"{column}_b"]).to_numpy(dtype=bool)
    notes = []
    for name, (left, right) in arrays.items():
        if (kinds := [_kind(left), _kind(right)])[0] != kinds[1]:
            differs[name] = np.ones(len(both), dtype=bool)
            held = " and ".join(f"{kind} in {version}" for kind, version in zip(kinds, called, strict=True))
            notes.append(f"a slice of {name} is {held}: every common slice is changed")
        else:
            differs[name] = _unlike(left, right, both["slice_a"], both["slice_b"])
    any_differs = np.logical_or.reduce(list(differs.values()))
    slices = Compared(
        _keys(joined[joined["side"] == "right_only"]),
        _keys(joined[joined["side"] == "left_only"]),
        _keys(both[any_differs]),
        int((~any_differs).sum()),
    )
    touched = {patient for _, keys in slices.names() for patient, _ in keys}
    patients = compare(a["patient"], b["patient"], lambda patient: patient not in touched)
    counts = {name: int(mask.sum()) for name, mask in differs.items() if mask.any()}
    return Slices(patients, slices, counts, notes)


def between(repo: Any, first: str, second: str, remote: str | None = None, every: bool = False) -> str:
    """The version `second` against `first`, as text; with `every`, metrics that are equal stand there too.

    Raises:
        UserError: there is no such version, or an object that must be read is damaged or missing on the remote.
    """
    cards = versions.read(repo, first), versions.read(repo, second)
    a, b = cards
    outputs = compare(a["outputs"], b["outputs"], lambda path: a["outputs"][path]["hash"] == b["outputs"][path]["hash"])
    before, after = _metrics(a), _metrics(b)
    metrics = compare(before, after, lambda key: _equal(before[key], after[key]))
    licence, parents = list(_said("licence", a, b)), list(_said("parents", a, b))
    if not any([*outputs.names(), *metrics.names(), *licence]):  # the same data under two names has two parents
        return f"{first} and {second} are equal: {outputs.same} outputs, {b['bytes']:,} bytes, {metrics.same} metrics\n"
    lines = [f"{first} → {second}"]
    tables = {path for card in cards for path in card["outputs"] if PurePosixPath(path).name == TABLE}
    with TemporaryDirectory() as scratch:
        for table in sorted(tables):
            lines += ["", table, *_table(_Pair(repo, (first, second), cards, remote, Path(scratch)), table)]
    lines += ["", f"outputs: {outputs}", *_outputs(outputs, a["outputs"], b["outputs"])]
    lines += ["", f"metrics: {metrics}", *_changes(before, after, metrics, (first, second), every)]
    lines += [*([""] if licence or parents else []), *licence, *parents]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Pair:
    """Two versions, to read files of."""

    repo: Any
    called: tuple[str, str]
    cards: tuple[dict[str, Any], dict[str, Any]]
    remote: str | None
    scratch: Path

    def hashes(self, path: str) -> list[str | None]:
        """Those of a file in both; None where there is no such file."""
        found = [card["outputs"].get(path, {}).get("hash") for card in self.cards]
        return [None if value is None or value.endswith(FOLDER) else value for value in found]

    def require(self, path: str, what: str) -> None:
        """That the file is in both."""
        for version, value in zip(self.called, self.hashes(path), strict=True):
            if value is None:
                raise BadInput(f"{what} is not in {version}: not compared")

    def files(self, wanted: list[str]) -> list[dict[str, Path]]:
        """By version and path, where they lie."""
        return [
            versions.files(self.repo, name, wanted, self.remote, self.scratch / str(side))
            for side, name in enumerate(self.called)
        ]


def _table(pair: _Pair, table: str) -> Iterator[str]:
    """What became of the slices of one table, in lines."""
    beside = {name: str(PurePosixPath(table).with_name(name)) for name in ARRAYS}
    try:
        if all(one == other for one, other in map(pair.hashes, [table, *beside.values()])):
            yield "  patients and slices: the same"
            return
        pair.require(table, "the table")
        a, b = (_read(files[table], name) for files, name in zip(pair.files([table]), pair.called, strict=True))
    except BadInput as error:
        yield f"  {error}"
        return
    arrays, notes = _arrays(pair, beside, a, b)
    found = compare_slices(a, b, arrays, pair.called)
    yield f"  patients: {found.patients}"
    yield from (f"    {word}: {versions.some(names)}" for word, names in found.patients.names())
    yield f"  slices: {found.slices}"
    for word, keys in found.slices.names():
        yield f"    {word}: {versions.some([f'{patient} {number}' for patient, number in keys])}"
    if found.differing:
        yield "    differing in " + ", ".join(f"{name}: {count:,}" for name, count in found.differing.items())
    yield from (f"  {note}" for note in [*notes, *found.notes])


def _arrays(
    pair: _Pair, beside: Mapping[str, str], a: "pd.DataFrame", b: "pd.DataFrame"
) -> "tuple[dict[str, tuple[NDArray[Any], NDArray[Any]]], list[str]]":
    """The arrays that must be looked at, by file name, and why others cannot be."""
    both = a.merge(b, on=["patient", "number"], suffixes=("_a", "_b"))
    moved = bool((both["slice_a"] != both["slice_b"]).any())  # equal files need no look, unless slices moved in them
    arrays, notes, wanted = {}, [], []
    for name, path in beside.items():
        one, other = pair.hashes(path)
        try:
            if one != other or (moved and one):
                pair.require(path, name)
                wanted.append(name)
        except BadInput as error:
            notes.append(str(error))
    left, right = pair.files([beside[name] for name in wanted])
    for name in wanted:
        path = beside[name]
        try:
            arrays[name] = (
                _map(left[path], len(a), name, pair.called[0]),
                _map(right[path], len(b), name, pair.called[1]),
            )
        except BadInput as error:
            notes.append(str(error))
    return arrays, notes


def _read(path: Path, version: str) -> "pd.DataFrame":
    from stages.lgg.tables import SLICES, read_slices

    try:
        return read_slices(path)
    except BadInput:  # its words are for the workspace; this is some file of the cache
        raise BadInput(f"the table of {version} is not one of {', '.join(SLICES)}: not compared") from None


def _map(path: Path, count: int, name: str, version: str) -> "NDArray[Any]":
    """The array of `count` slices, mapped into memory rather than loaded."""
    import numpy as np

    try:
        array: Any = np.load(path, mmap_mode="r")
        if isinstance(array, np.ndarray) and array.ndim and len(array) == count:
            return array
    except (ValueError, EOFError):
        pass
    raise BadInput(f"{name} of {version} is no array of {count:,} slices: not compared")


def _unlike(
    left: "NDArray[Any]", right: "NDArray[Any]", here: "pd.Series[Any]", there: "pd.Series[Any]"
) -> "NDArray[np.bool_]":
    """Whether the bytes of slices differ, which lie in these rows of the two arrays; so NaN equals itself."""
    import numpy as np

    rows = zip(here.astype(int), there.astype(int), strict=True)
    return np.fromiter((left[i].tobytes() != right[j].tobytes() for i, j in rows), dtype=bool, count=len(here))


def _kind(array: "NDArray[Any]") -> str:
    shape = " × ".join(str(side) for side in array.shape[1:])
    return " ".join([*([shape] if shape else []), str(array.dtype)])


def _keys(found: "pd.DataFrame") -> list[tuple[str, int]]:
    return [(str(patient), int(number)) for patient, number in zip(found["patient"], found["number"], strict=True)]


def _outputs(found: Compared[str], a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    width = max((len(path) for _, paths in found.names() for path in paths), default=0)
    for word, paths in found.names():
        for path in paths:
            sizes = [f"{card[path]['bytes']:,}" for card in (a, b) if path in card]
            yield f"  {word:<7}  {path:<{width}}  {' → '.join(sizes)} bytes"


def _metrics(card: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """By file and dotted name."""
    files = {file: found if isinstance(found, Mapping) else {"": found} for file, found in card["metrics"].items()}
    return {(file, name): value for file, found in files.items() for name, value in flat(found)}


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or repr(one) == repr(other)  # NaN, also inside a list


def _changes(
    a: Mapping[tuple[str, str], Any],
    b: Mapping[tuple[str, str], Any],
    found: Compared[tuple[str, str]],
    called: tuple[str, str],
    every: bool,
) -> Iterator[str]:
    """A row a metric that differs, or each, under the file that holds it."""
    keys = sorted(a.keys() | b.keys() if every else {key for _, keys in found.names() for key in keys})
    texts = {key: [_value(side[key]) if key in side else "–" for side in (a, b)] for key in keys}
    rows = [("", "", *called, "change"), *((*key, *texts[key], _step(key, a, b)) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    before = ""
    for file, name, one, other, step in rows if keys else []:
        if file != before:
            yield f"  {file}"
        before = file
        yield f"    {name:<{widths[1]}}  {one:>{widths[2]}}  {other:>{widths[3]}}  {step}".rstrip()


def _value(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _step(key: tuple[str, str], a: Mapping[tuple[str, str], Any], b: Mapping[tuple[str, str], Any]) -> str:
    if key not in a or key not in b:
        return "removed" if key in a else "added"
    one, other = a[key], b[key]
    if _equal(one, other):
        return ""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (one, other))
    return f"{other - one:+.4g}" if numbers else "changed"


def _said(key: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[str]:
    texts = [", ".join([card[key]] if isinstance(card[key], str) else card[key]) or "none" for card in (a, b)]
    if texts[0] != texts[1]:
        yield f"{key}: {texts[0]} → {texts[1]}"
