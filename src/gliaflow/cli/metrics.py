"""`gliaflow metrics`: the metrics of a workspace, the most important ones first, and where its figures are."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from gliaflow.cli.flags import Folder, Json, Switch, answer

if TYPE_CHECKING:
    from gliaflow.store.metrics import Metric, Overview

HEADLINE = 6  # metrics that are shown without --all, if there are no more files of the last stages
TITLES = ("metric", "value", "since HEAD")
NONE = "no metrics: name their files under `metrics:` in dvc.yaml, then `gliaflow repro`"


def metrics(
    *, every: Annotated[Switch, Parameter(name="--all")] = False, repo: Folder = Path(), as_json: Json = False
) -> None:
    """Show the metrics of the workspace, how they changed since HEAD, and where the figures are.

    Without --all there are six, or one of each file if that is more: of the stages after which nothing is measured,
    one of each file in turn. Numbers with a fraction come before counts and text, and outer names before nested ones.

    Example: gliaflow metrics --all

    Args:
        every: Show all metrics.
    """
    from gliaflow.store.metrics import overview

    with answer(as_json) as tell:
        found = overview(repo)
        tell(_plain(found), _lines(found, len(found.metrics) if every else _most(found)))


def _most(found: "Overview") -> int:
    return max(HEADLINE, len({one.file for one in found.metrics if one.final}))


def headline(found: Sequence["Metric"], most: int = HEADLINE) -> list["Metric"]:
    """The `most` important metrics, in the order in which they are given; see `metrics` for which these are."""
    ordered = sorted(found, key=lambda one: (not isinstance(one.value, float), one.name.count(".")))
    final, others = (_in_turn(one for one in ordered if one.final is wanted) for wanted in (True, False))
    chosen = {(one.file, one.name) for one in [*final, *others][:most]}
    return [one for one in found if (one.file, one.name) in chosen]


def table(found: Sequence["Metric"]) -> Iterator[str]:
    """Lines in columns, the metrics of a file below its path; no line is cut."""
    from gliaflow.errors import one_line
    from gliaflow.store.metrics import text

    rows = [(one.name, one_line(text(one.value)), one.change) for one in found]
    widths = [max(map(len, column)) for column in zip(TITLES, *rows, strict=True)]
    last = None
    for file, row in zip([None, *(one.file for one in found)], [TITLES, *rows], strict=True):
        if file != last:
            yield str(file)
        last = file
        yield f"  {'  '.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))}".rstrip()


def _in_turn(found: Iterable["Metric"]) -> list["Metric"]:
    """The first metric of each file, then the second of each, and so on."""
    files: dict[str, list[Metric]] = {}
    for one in found:
        files.setdefault(one.file, []).append(one)
    return [one for one in chain.from_iterable(zip_longest(*files.values())) if one]


def _lines(found: "Overview", most: int) -> Iterator[str]:
    """For a person."""
    shown = headline(found.metrics, most)
    yield from table(shown) if shown else [NONE]
    if more := len(found.metrics) - len(shown):
        yield f"--all for the other {more}"
    if found.figures:
        yield from ["Figures:", *(f"  {folder}/" for folder in found.figures)]


def _plain(found: "Overview") -> dict[str, Any]:
    """For a program: each metric by file and name, with all its digits."""
    files: dict[str, dict[str, Any]] = {}
    for one in found.metrics:
        files.setdefault(one.file, {})[one.name] = one.value
    return {"metrics": files, "figures": found.figures}
