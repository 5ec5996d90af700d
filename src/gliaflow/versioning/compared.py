"""Names of one kind in two versions, compared; and metrics, by file and name, as a table of what changed."""

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gliaflow.errors import one_line
from gliaflow.store.metrics import flat

WIDTH = 32  # characters of a metric's value; a longer one is cut
NONE = "–"

Name = TypeVar("Name", bound=Hashable)
Metrics = Mapping[tuple[str, str], Any]  # by file and dotted name


@dataclass(frozen=True)
class Compared(Generic[Name]):
    """The names of one kind in two versions, sorted, and how many are the same in both."""

    added: list[Name]
    removed: list[Name]
    changed: list[Name]
    same: int

    @classmethod
    def of(cls, old: Iterable[Name], new: Iterable[Name], same: Callable[[Name], bool]) -> "Compared[Name]":
        """The names of `new` against those of `old`; `same` judges a name that is in both."""
        before, after = set(old), set(new)
        both = sorted(before & after, key=str)
        changed = [name for name in both if not same(name)]
        added, removed = sorted(after - before, key=str), sorted(before - after, key=str)
        return cls(added, removed, changed, len(both) - len(changed))

    def __str__(self) -> str:
        """In numbers."""
        counts = {"added": len(self.added), "removed": len(self.removed), "changed": len(self.changed)}
        return ", ".join([*(f"{count:,} {word}" for word, count in counts.items()), f"{self.same:,} the same"])

    def names(self) -> Iterator[tuple[str, list[Name]]]:
        """The names that are not the same, under the word for what became of them."""
        pairs = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        yield from ((word, names) for word, names in pairs if names)

    def differing(self) -> set[Name]:
        """The names that are not the same."""
        return {name for _, names in self.names() for name in names}


def by_name(metrics: Mapping[str, Any]) -> Metrics:
    """The metrics of a version, given by file."""
    return {(file, name): value for file, found in metrics.items() for name, value in flat(found)}


def compare_metrics(old: Metrics, new: Metrics) -> Compared[tuple[str, str]]:
    """The metrics of a version against those of an older one."""
    return Compared.of(old, new, lambda key: _equal(old[key], new[key]))


def metric_lines(old: Metrics, new: Metrics, keys: Iterable[tuple[str, str]], titles: tuple[str, str]) -> Iterator[str]:
    """A row for each of the metrics `keys`, under the file that holds it; `titles` head the two columns of values."""
    keys = sorted(keys)
    texts = {key: [_value(side[key]) if key in side else NONE for side in (old, new)] for key in keys}
    rows = [("", "", *titles, "change"), *((*key, *texts[key], _step(key, old, new)) for key in keys)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    last = ""
    for file, name, before, after, step in rows if keys else []:
        if file != last:
            yield f"  {file}"
        last = file
        yield f"    {name:<{widths[1]}}  {before:>{widths[2]}}  {after:>{widths[3]}}  {step}".rstrip()


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other) or repr(one) == repr(other)  # NaN, also inside a list


def _value(value: Any) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else one_line(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


def _step(key: tuple[str, str], old: Metrics, new: Metrics) -> str:
    if key not in old or key not in new:
        return "removed" if key in old else "added"
    before, after = old[key], new[key]
    if _equal(before, after):
        return ""
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (before, after))
    return f"{after - before:+.4g}" if numbers else "changed"
