"""The order of the pieces of a file to which a run adds: entries of dvc.lock, lines of .gitignore.

A piece that was there before the run began keeps its place. Those that have come since stand in DVC's order.
"""

import sys
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from operator import itemgetter
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=str | bytes)


class Order(Generic[Name]):
    """The names of the pieces, as they stand in the file.

    Args:
        places: Of each planned piece its place in DVC's order.
        old: The pieces that were there before; they keep their places.
    """

    def __init__(self, places: Mapping[Name, int], old: Collection[Name]) -> None:
        self.names: list[Name] = []
        self._places, self._old = places, old
        self._known: set[Name] = set()
        self._since: list[tuple[int, Name]] = []  # what has come since, by place

    def __contains__(self, name: Name) -> bool:
        """Whether there is such a piece."""
        return name in self._known

    def read(self, names: Iterable[Name]) -> None:
        """Take the names of a file that others have written; new ones may stand in any order until `arrange`."""
        self.names = [*names]
        self._known = set(self.names)
        self._since = sorted(((self._places[one], one) for one in self.names if self.is_new(one)), key=itemgetter(0))

    def arrange(self) -> list[int]:
        """Sort the new pieces by DVC's order, among the places that they already have.

        Returns for each place the one that its piece had before.
        """
        at = [index for index, name in enumerate(self.names) if self.is_new(name)]
        found = list(range(len(self.names)))
        for index, source in zip(at, sorted(at, key=lambda one: self._places[self.names[one]]), strict=True):
            found[index] = source
        self.names = [self.names[source] for source in found]
        return found

    def insert(self, name: Name) -> int:
        """Put a name before the first new piece that comes after it in DVC's order, or else last; return its index.

        The new pieces must be arranged. A name that is not planned comes last.
        """
        place = self._places.get(name, sys.maxsize)
        after = bisect_right(self._since, place, key=itemgetter(0))
        index = self.names.index(self._since[after][1]) if after < len(self._since) else len(self.names)
        self.names.insert(index, name)
        self._known.add(name)
        if self.is_new(name):
            self._since.insert(after, (place, name))
        return index

    def remove(self, name: Name) -> int:
        """Take a name out; return the index that it had."""
        index = self.names.index(name)
        del self.names[index]
        self._known.discard(name)
        self._since = [one for one in self._since if one[1] != name]
        return index

    def since(self) -> list[Name]:
        """What has come since, in DVC's order."""
        return [name for _, name in self._since]

    def is_new(self, name: Name) -> bool:
        """Whether a piece of this name has come since, if it is there."""
        return name in self._places and name not in self._old
