"""What a run left, for a person: metrics and figures, on the terminal and as artifacts in Prefect."""

import base64
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from dvc.exceptions import NotDvcRepoError
from dvc.repo import Repo
from rich.console import Console
from rich.measure import Measurement
from rich.table import Column, Table

from gliaflow.core.options import Row

FIGURES = "*.png"
VALUE_WIDTH = 32  # characters; longer ones go on in the next line
FIGURES_SHOWN = 24  # of a run, in Prefect
FIGURE_BYTES = 1 << 20  # that one may have there


def metrics(root: Path) -> dict[str, dict[str, Any]]:
    """The metrics of the workspace at `root`: by file, then by name, nested names joined by dots.

    A metrics file of `dvc.yaml` that is not there, or is broken, is left out.
    """
    with Repo(str(root)) as repo:
        return _by_file(repo.metrics.show().get("", {}))


def changes(root: Path) -> list[dict[str, Any]]:
    """Every metric of the workspace beside its value in HEAD, where there is one."""
    with Repo(str(root)) as repo:
        shown = repo.metrics.show() if repo.scm.no_commits else repo.metrics.show(revs=["HEAD"], hide_workspace=False)
    now, head = _by_file(shown.get("workspace") or shown.get("") or {}), _by_file(shown.get("HEAD") or {})
    return [
        {"file": file, "metric": name, "value": _text(value), "since HEAD": _change(head.get(file, {}), name, value)}
        for file, values in now.items()
        for name, value in values.items()
    ]


def table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """A row a metric, under the file that holds it."""
    result = Table(Column("metric", no_wrap=True), Column("value", max_width=VALUE_WIDTH), title="Metrics")
    for file, values in found.items():
        result.add_row(f"[bold]{file}[/bold]", "")
        for name, value in values.items():
            result.add_row(f"  {name}", _text(value))
        result.add_section()
    return result


def publish(rows: Sequence[Row], root: Path, with_metrics: bool) -> None:
    """Inside a Prefect flow: tables of its stages and metrics, and the figures that it made, as artifacts."""
    from prefect.artifacts import create_markdown_artifact, create_table_artifact

    create_table_artifact(key="stages", table=[_stage(row) for row in rows], description="What became of each stage")
    if with_metrics and (found := changes(root)):
        create_table_artifact(key="metrics", table=found, description="Metrics, and their change since HEAD")
    if shown := list(figures(path for row in rows if row.outcome.reproduced for path in row.outputs)):
        create_markdown_artifact(key="figures", markdown="\n\n".join(map(_picture, shown)), description="Figures")


def figures(outputs: Iterable[str]) -> Iterator[Path]:
    """The pictures among the outputs of stages, not too many and not too large."""
    found = [file for path in map(Path, outputs) for file in [path, *sorted(path.rglob(FIGURES))]]
    small = (file for file in found if file.match(FIGURES) and file.is_file() and file.stat().st_size <= FIGURE_BYTES)
    yield from islice(small, FIGURES_SHOWN)


def _stage(row: Row) -> dict[str, Any]:
    outputs = ", ".join(f"{path} {value[:8]}" for path, value in row.outputs.items())
    seconds = round(row.seconds, 1)
    return {"stage": row.address, "outcome": row.outcome.value, "seconds": seconds, "why": row.why, "outputs": outputs}


def _picture(path: Path) -> str:
    return f"**{path}**\n\n![{path}](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"


def _by_file(shown: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    files = sorted(shown.get("data", {}).items())
    return {file: dict(flat(found["data"])) for file, found in files if "data" in found}


def flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """What is nested in `values`, by names joined by dots."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _change(before: Mapping[str, Any], name: str, value: Any) -> str:
    if name not in before:
        return "new"
    numbers = isinstance(value, int | float) and isinstance(before[name], int | float)
    if value == before[name]:
        return ""
    return f"{value - before[name]:+.4g}" if numbers else f"was {_text(before[name])}"


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
