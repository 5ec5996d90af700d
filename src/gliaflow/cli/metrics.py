"""`gliaflow metrics`: the metrics of a workspace as a table."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc.exceptions import NotDvcRepoError
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table

from gliaflow.errors import UserError, one_line
from gliaflow.store.metrics import metrics, text

FIGURES = "*.png"
VALUE_WIDTH = 32  # characters; longer ones go on in the next line


def table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row a metric, under the file that holds it."""
    result = Table(Column("metric", no_wrap=True), Column("value", max_width=VALUE_WIDTH), title="Metrics")
    for file, values in found.items():
        result.add_row(f"[bold]{file}[/bold]", "")
        for name, value in values.items():
            result.add_row(f"  {name}", text(value))
        result.add_section()
    return result


def show(root: Path) -> None:
    """Print the table for the repository at `root`.

    Raises:
        UserError: there is none.
    """
    console = Console()
    try:
        found = metrics(root)
    except NotDvcRepoError as error:
        raise UserError(one_line(error)) from None
    shown = table(found)
    needed = Measurement.get(console, console.options.update(max_width=sys.maxsize), shown).maximum
    console.width = max(needed, console.width)  # a terminal too narrow breaks lines; names are not cut
    console.print(shown)
    folders = sorted({path.parent for path in Path("results").rglob(FIGURES)})
    console.print("Figures:", *(f"  {folder}/" for folder in folders), sep="\n")


def metrics_command(*, repo: Path = Path()) -> None:
    """Show the metrics of the workspace."""
    show(repo)
