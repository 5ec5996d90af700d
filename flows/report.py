"""What a run left: one table of every metric that DVC knows, and where the figures are."""

import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table

FIGURES = "*.png"
VALUE_WIDTH = 32  # characters; longer ones go on in the next line


def metrics(root: Path) -> dict[str, dict[str, Any]]:
    """The metrics of the workspace at `root`: by file, then by name, nested names joined by dots.

    A metrics file of `dvc.yaml` that is not there, or is broken, is left out.
    """
    with Repo(str(root)) as repo:
        shown = repo.metrics.show()[""]["data"]
    return {file: dict(_flat(found["data"])) for file, found in sorted(shown.items()) if "data" in found}


def table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row a metric, under the file that holds it."""
    result = Table(Column("metric", no_wrap=True), Column("value", max_width=VALUE_WIDTH), title="Metrics")
    for file, values in found.items():
        result.add_row(f"[bold]{file}[/bold]", "")
        for name, value in values.items():
            result.add_row(f"  {name}", _text(value))
        result.add_section()
    return result


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Print the table for the repository that this is run in."""
    console = Console()
    try:
        found = metrics(Path())
    except NotDvcRepoError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    shown = table(found)
    needed = Measurement.get(console, console.options.update(max_width=sys.maxsize), shown).maximum
    console.width = max(needed, console.width)  # a terminal too narrow breaks lines; names are not cut
    console.print(shown)
    folders = sorted({path.parent for path in Path("results").rglob(FIGURES)})
    console.print("Figures:", *(f"  {folder}/" for folder in folders), sep="\n")


if __name__ == "__main__":
    main()
