"""The metrics of a workspace, and how they changed since the last commit, or another one.

By file, its path from the root of the repository; then by name, nested names joined by dots.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gliaflow.store.repository import opened

PICTURES = (".png", ".svg", ".jpg", ".jpeg")
Metrics = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Metric:
    """A metric of a workspace."""

    file: str
    name: str
    value: Any
    change: str
    """Since HEAD, as a phrase; nothing if it is the same."""
    final: bool
    """Whether a last stage made it, or none: after a last one nothing is measured."""


@dataclass(frozen=True)
class Overview:
    """What there is to show of a workspace."""

    metrics: list[Metric]
    """By file, then in the order of the file."""
    figures: list[str]
    """The folders that hold pictures, from the root of the repository: of plots, and of what the last stages make."""


def metrics(root: Path) -> Metrics:
    """The metrics of the workspace at `root`; a metrics file that is missing or broken is left out.

    Raises:
        UserError: `root` is in no DVC repository, or DVC cannot read its dvc.yaml.
    """
    with opened(root) as repo, chdir(repo.root_dir):  # DVC names files as seen from the working directory
        return _by_file(repo.metrics.show().get("", {}))


def values(root: Path, commit: str = "HEAD") -> list[dict[str, Any]]:
    """Each metric of the workspace at `root`: its file, name and value, and the value `before`, at `commit`.

    One that is new has nothing under `before`. Without git, or before the first commit, all are new.

    Raises:
        UserError: `root` is in no DVC repository, or DVC cannot read its dvc.yaml.
    """
    with opened(root) as repo:
        now, head = _now_and_head(repo, commit)
    return [
        {"file": file, "metric": name, "value": value, **_before(head.get(file, {}), name)}
        for file, metrics in now.items()
        for name, value in metrics.items()
    ]


def changes(found: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What `values` gives, for a person: file, name, value as text, and the change since HEAD."""
    return [
        {
            "file": one["file"],
            "metric": one["metric"],
            "value": text(one["value"]),
            "since HEAD": _change(one, "before", one["value"]),
        }
        for one in found
    ]


def _before(metrics: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {"before": metrics[name]} if name in metrics else {}


def overview(root: Path) -> Overview:
    """What there is to show of the workspace at `root`.

    Raises:
        UserError: `root` is in no DVC repository, or DVC cannot read its dvc.yaml.
    """
    with opened(root) as repo:
        now, head = _now_and_head(repo)
        last = _last_stages(repo, now)
        read = {Path(out.fs_path) for stage in repo.index.stages if stage not in last for out in stage.outs}
        final = {file for file in now if read.isdisjoint(_with_parents(Path(repo.root_dir, file)))}
        found = [
            Metric(file, name, value, _change(head.get(file, {}), name, value), file in final)
            for file, values in now.items()
            for name, value in values.items()
        ]
        return Overview(found, sorted(_folders_of_pictures(repo, last)))


def flat(values: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Each value that is nested in `values`, with its names joined by dots; a lone value has the name `name`."""
    if not isinstance(values, Mapping):
        yield name, values
        return
    for key, value in values.items():
        yield from flat(value, f"{name}.{key}" if name else str(key))


def text(value: Any) -> str:
    """A metric as a person sees it: a fraction with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _now_and_head(repo: Any, commit: str = "HEAD") -> tuple[Metrics, Metrics]:
    """The metrics of the workspace and of a commit; of that none without git, or before the first commit."""
    with chdir(repo.root_dir):  # DVC names files as seen from the working directory
        any_commit = not repo.config["core"].get("no_scm", False) and not repo.scm.no_commits
        shown = repo.metrics.show(revs=[commit], hide_workspace=False) if any_commit else repo.metrics.show()
    return _by_file(shown.get("workspace") or shown.get("") or {}), _by_file(shown.get(commit) or {})


def _last_stages(repo: Any, files: Iterable[str]) -> set[Any]:
    """The stages with a command on which no other depends, and those that make the last `files` of metrics.

    What follows the latter, such as an export, measures nothing.
    """
    graph = repo.index.graph  # an edge leads from a stage to what it depends on
    places = {place for file in files for place in _with_parents(Path(repo.root_dir, file))}
    measuring = {stage for stage in graph if any(Path(out.fs_path) in places for out in stage.outs)}
    before, waiting = set[Any](), list(measuring)
    while waiting:
        found = set(graph.successors(waiting.pop())) - before
        before |= found
        waiting += found
    return {stage for stage in graph if stage.cmd and (not graph.in_degree(stage) or stage in measuring - before)}


def _with_parents(path: Path) -> list[Path]:
    return [path, *path.parents]


def _folders_of_pictures(repo: Any, last: Collection[Any]) -> set[str]:
    outputs = ((stage, out) for stage in repo.index.stages for out in stage.outs if out.is_in_repo)
    paths = [Path(out.fs_path) for stage, out in outputs if out.plot or stage in last]
    files = (file for path in paths for file in [path, *path.rglob("*")] if file.suffix in PICTURES and file.is_file())
    return {file.parent.relative_to(repo.root_dir).as_posix() for file in files}


def _by_file(shown: Mapping[str, Any]) -> Metrics:
    files = sorted(shown.get("data", {}).items())
    return {file: dict(flat(found["data"])) for file, found in files if "data" in found}


def _change(before: Mapping[str, Any], name: str, value: Any) -> str:
    if name not in before:
        return "new"
    numbers = isinstance(value, int | float) and isinstance(before[name], int | float)
    if value == before[name]:
        return ""
    return f"{value - before[name]:+.4g}" if numbers else f"was {text(before[name])}"
