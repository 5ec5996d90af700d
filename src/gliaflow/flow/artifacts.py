"""What a run left, as artifacts in Prefect: tables of stages and metrics, and figures."""

import base64
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from gliaflow.core.report import StageResult
from gliaflow.store.metrics import changes

FIGURES = "*.png"
FIGURES_SHOWN = 24  # of a run
FIGURE_BYTES = 1 << 20  # that one may have


def publish(results: Sequence[StageResult], root: Path, with_metrics: bool) -> None:
    """Inside a Prefect flow: tables of its stages and metrics, and the figures that it made, as artifacts."""
    create_table_artifact(
        key="stages", table=[_stage(result) for result in results], description="What became of each stage"
    )
    if with_metrics and (found := changes(root)):
        create_table_artifact(key="metrics", table=found, description="Metrics, and their change since HEAD")
    if shown := list(figures(path for result in results if result.outcome.reproduced for path in result.outputs)):
        create_markdown_artifact(key="figures", markdown="\n\n".join(map(_picture, shown)), description="Figures")


def figures(outputs: Iterable[str]) -> Iterator[Path]:
    """The pictures among the outputs of stages, not too many and not too large."""
    found = [file for path in map(Path, outputs) for file in [path, *sorted(path.rglob(FIGURES))]]
    small = (file for file in found if file.match(FIGURES) and file.is_file() and file.stat().st_size <= FIGURE_BYTES)
    yield from islice(small, FIGURES_SHOWN)


def _stage(result: StageResult) -> dict[str, Any]:
    outputs = ", ".join(f"{path} {value[:8]}" for path, value in result.outputs.items())
    seconds = round(result.seconds, 1)
    return {
        "stage": result.address,
        "outcome": result.outcome.value,
        "seconds": seconds,
        "why": result.why,
        "outputs": outputs,
    }


def _picture(path: Path) -> str:
    return f"**{path}**\n\n![{path}](data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()})"
