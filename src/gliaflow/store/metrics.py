"""The metrics of a workspace, and how they changed since the last commit.

By file, its path from the root of the repository; then by name, nested names joined by dots.
"""

from collections.abc import Iterator, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

from gliaflow.store.repository import opened

Metrics = dict[str, dict[str, Any]]


def metrics(root: Path) -> Metrics:
    """The metrics of the workspace at `root`; a metrics file that is missing or broken is left out.

    Raises:
        UserError: `root` is in no DVC repository, or DVC cannot read its dvc.yaml.
    """
    with opened(root) as repo, chdir(repo.root_dir):  # DVC names files as seen from the working directory
        return _by_file(repo.metrics.show().get("", {}))


def changes(root: Path) -> list[dict[str, Any]]:
    """Each metric of the workspace at `root`: its file, name, value as text, and change since HEAD.

    Without git, or before the first commit, all are new.

    Raises:
        UserError: `root` is in no DVC repository, or DVC cannot read its dvc.yaml.
    """
    with opened(root) as repo, chdir(repo.root_dir):
        any_commit = not repo.config["core"].get("no_scm", False) and not repo.scm.no_commits
        shown = repo.metrics.show(revs=["HEAD"], hide_workspace=False) if any_commit else repo.metrics.show()
    now, head = _by_file(shown.get("workspace") or shown.get("") or {}), _by_file(shown.get("HEAD") or {})
    return [
        {"file": file, "metric": name, "value": text(value), "since HEAD": _change(head.get(file, {}), name, value)}
        for file, values in now.items()
        for name, value in values.items()
    ]


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
