"""The metrics of a workspace, and their change since the last commit."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc.repo import Repo


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
        {"file": file, "metric": name, "value": text(value), "since HEAD": _change(head.get(file, {}), name, value)}
        for file, values in now.items()
        for name, value in values.items()
    ]


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


def text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _change(before: Mapping[str, Any], name: str, value: Any) -> str:
    if name not in before:
        return "new"
    numbers = isinstance(value, int | float) and isinstance(before[name], int | float)
    if value == before[name]:
        return ""
    return f"{value - before[name]:+.4g}" if numbers else f"was {text(before[name])}"
