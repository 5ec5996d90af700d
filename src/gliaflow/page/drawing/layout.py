"""Where the stages of a graph stand: in columns from left to right, each behind all that it reads."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS = 12  # over all columns, to untangle lines and then to straighten them
Graph = Mapping[str, Sequence[str]]  # each node → what it reads; every node after what it reads


@dataclass(frozen=True)
class Layout:
    """Places in a grid: columns count from the left; rows are numbers of any kind, the smallest 0."""

    column: dict[str, int]
    row: dict[str, float]
    lines: list[list[tuple[int, float]]]
    """Each line from a node to one that reads it, through all columns between them: column and row."""
    ends: list[tuple[str, str]]
    """The two nodes of each line."""


def layout(graph: Graph) -> Layout:
    """Place the nodes. A line is left out where a longer way leads from one end to the other."""
    graph = reduced(graph)
    column: dict[str, int] = {}
    for node, reads in graph.items():
        column[node] = max((column[one] + 1 for one in reads), default=0)
    ways = [_way(one, node, column) for node, reads in graph.items() for one in reads]
    columns: defaultdict[int, list[str]] = defaultdict(list)
    places = dict(column)
    for way in ways:
        places |= {bend: column[way[0]] + place for place, bend in enumerate(way[1:-1], 1)}
    for node, place in places.items():
        columns[place].append(node)
    left: defaultdict[str, list[str]] = defaultdict(list)
    right: defaultdict[str, list[str]] = defaultdict(list)
    for way in ways:
        for one, other in pairwise(way):
            right[one].append(other)
            left[other].append(one)
    rows = _rows([columns[place] for place in sorted(columns)], left, right)
    lines = [[(places[one], rows[one]) for one in way] for way in ways]
    return Layout(column, {node: rows[node] for node in graph}, lines, [(way[0], way[-1]) for way in ways])


def reduced(graph: Graph) -> dict[str, list[str]]:
    """The graph without what follows from the rest: who reads what its other upstreams already stand behind."""
    behind: dict[str, set[str]] = {}
    found: dict[str, list[str]] = {}
    for node, reads in graph.items():
        known = [one for one in dict.fromkeys(reads) if one in behind]
        implied = set[str]().union(*(behind[one] for one in known))
        found[node] = [one for one in known if one not in implied]
        behind[node] = implied | set(known)
    return found


def grouped(graph: Graph) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The graph of groups, by the name before `@`, and the members of each group.

    A line against the order in which groups first come is left out, so that there is no circle.
    """
    members: dict[str, list[str]] = {}
    for node in graph:
        members.setdefault(group(node), []).append(node)
    place = {name: number for number, name in enumerate(members)}
    reads: dict[str, list[str]] = {name: [] for name in members}
    for node, names in graph.items():
        for other in map(group, names):
            if other in place and place[other] < place[group(node)] and other not in reads[group(node)]:
                reads[group(node)].append(other)
    return reads, members


def group(address: str) -> str:
    """What stages of one `matrix` or `foreach` have in common."""
    return address.partition("@")[0]


def _way(one: str, other: str, column: Mapping[str, int]) -> list[str]:
    """A line as its ends, and a bend in each column between them."""
    return [one, *(f"{one}\0{other}\0{place}" for place in range(column[one] + 1, column[other])), other]


def _rows(
    columns: Sequence[list[str]], left: Mapping[str, Sequence[str]], right: Mapping[str, Sequence[str]]
) -> dict[str, float]:
    """A row for each node and bend, such that few lines cross and most are straight."""
    row = {node: float(place) for column in columns for place, node in enumerate(column)}
    for sweep in range(SWEEPS):
        forwards = sweep % 2 == 0
        for column in columns if forwards else reversed(columns):
            near = left if forwards else right
            column.sort(key=lambda node: _mean([row[one] for one in near[node]], row[node]))
            row |= {node: float(place) for place, node in enumerate(column)}
    for sweep in range(SWEEPS):
        for column in columns if sweep % 2 else reversed(columns):
            wanted = [_mean([row[one] for one in [*left[node], *right[node]]], row[node]) for node in column]
            row |= zip(column, apart(wanted), strict=True)
    least = min(row.values(), default=0.0)
    return {node: place - least for node, place in row.items()}


def apart(wanted: Sequence[float]) -> list[float]:
    """The places nearest to those `wanted`, by the sum of squares, that are in order and at least 1 apart."""
    pools: list[tuple[float, int]] = []  # mean and number, of places that touch each other
    for place, one in enumerate(wanted):
        mean, count = one - place, 1
        while pools and pools[-1][0] > mean:
            before, number = pools.pop()
            mean, count = (before * number + mean * count) / (number + count), number + count
        pools.append((mean, count))
    return [mean + place for place, mean in enumerate(mean for mean, count in pools for _ in range(count))]


def _mean(values: Iterable[float], otherwise: float) -> float:
    found = list(values)
    return sum(found) / len(found) if found else otherwise
