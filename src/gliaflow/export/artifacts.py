"""What a run left, as Prefect's artifacts: tables of stages and metrics, and figures."""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from gliaflow.core.report import StageResult
from gliaflow.core.settings import human
from gliaflow.made import FOLDER, TooLarge, bytes_of, cached, listed, md5

PICTURE = ".png"
FIGURES_SHOWN = 24  # of a run
FIGURE_BYTES = 1 << 20  # that one may have


@dataclass(frozen=True)
class Artifact:
    """One artifact, as Prefect's server takes it."""

    key: str
    type: str
    """`table` or `markdown`."""
    data: str
    """A table as JSON, or the text."""
    description: str


def artifacts(
    results: Iterable[StageResult], metrics: list[dict[str, Any]], root: Path, cache: Path | None
) -> Iterator[Artifact]:
    """The artifacts of a run in the folder `root` whose data DVC keeps in `cache`: of what is there, no more."""
    results = list(results)
    measured = any(one.used for one in results)
    yield Artifact(
        "stages", "table", json.dumps([_stage(one, measured) for one in results]), "What became of each stage"
    )
    if metrics:
        yield Artifact("metrics", "table", json.dumps(metrics), "Metrics, and their change since HEAD")
    outputs = {path: value for one in results if one.outcome.reproduced for path, value in one.outputs.items()}
    if shown := [_picture(*one) for one in figures(outputs, root, cache)]:
        yield Artifact("figures", "markdown", "\n\n".join(shown), "Figures")


def figures(outputs: Mapping[str, str], root: Path, cache: Path | None = None) -> Iterator[tuple[str, bytes]]:
    """The pictures among outputs, path → hash, not too many and none too large: each with its path.

    They are as the run left them: read from the cache, or from the workspace if they are still the same there.
    """
    every = (one for path, value in outputs.items() for one in _files(path, value, root, cache))
    pictures = ((path, value) for path, value in every if path.endswith(PICTURE))
    found = ((path, _bytes(root / path, value, cache)) for path, value in pictures)
    yield from islice(((path, data) for path, data in found if data is not None), FIGURES_SHOWN)


def _files(path: str, value: str, root: Path, cache: Path | None) -> Iterator[tuple[str, str]]:
    """The files of an output, each with its hash; none of one that nobody can list any more."""
    if not value.endswith(FOLDER):
        yield path, value
        return
    inside = listed(cache, value)
    if inside is not None:
        yield from ((f"{path}/{name}", hash_of) for name, hash_of in inside.items())
        return
    for file in sorted((root / path).rglob(f"*{PICTURE}")):  # an output that DVC does not cache
        with suppress(OSError):
            if file.stat().st_size <= FIGURE_BYTES:
                yield file.relative_to(root).as_posix(), md5(file.read_bytes())


def _bytes(path: Path, value: str, cache: Path | None) -> bytes | None:
    with suppress(TooLarge):
        return bytes_of((cached(cache, value), path), value, FIGURE_BYTES)
    return None


def _stage(result: StageResult, measured: bool) -> dict[str, Any]:
    return {
        "stage": result.address,
        "outcome": result.outcome.value,
        "seconds": round(result.seconds, 1),
        "why": result.why,
        **(_resources(result) if measured else {}),
        "outputs": ", ".join(f"{path} {value[:8]}" for path, value in result.outputs.items()),
    }


def _resources(result: StageResult) -> dict[str, Any]:
    """What the stage used, next to what it asked for; empty cells of one that ran no command here."""
    used, asked = result.used, result.asked
    return {
        "CPU seconds": round(used.cpu_seconds, 1) if used else "",
        "CPUs asked": asked.cpus if asked else "",
        "memory": human(used.peak_bytes) if used else "",
        "memory asked": human(asked.mem_bytes) if asked and asked.mem_bytes else "",
        "GPU memory": human(used.gpu_bytes) if used and used.gpu_bytes is not None else "",
        "GPUs asked": asked.gpus if asked and asked.gpus else "",
        "read": human(used.read_bytes) if used and used.read_bytes is not None else "",
        "written": human(used.written_bytes) if used and used.written_bytes is not None else "",
    }


def _picture(path: str, data: bytes) -> str:
    return f"**{path}**\n\n![{path}](data:image/png;base64,{base64.b64encode(data).decode()})"
