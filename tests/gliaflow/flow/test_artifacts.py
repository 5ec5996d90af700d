"""The tables and figures that a run leaves in Prefect."""

from pathlib import Path
from typing import Any

import pytest

from gliaflow.core.report import Outcome, StageResult
from gliaflow.flow import artifacts

PNG = b"\x89PNG"
RESULTS = (
    StageResult("draw", Outcome.RUN, "it is new", 1.26, {"plots": "0123456789abcdef", "m.json": "fedcba9876543210"}),
    StageResult("old", Outcome.UNCHANGED, outputs={"old.png": "00000000aa"}),
)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """What would be written to Prefect, by key; the working directory has figures."""
    found: dict[str, Any] = {}
    monkeypatch.setattr(artifacts, "create_table_artifact", lambda key, table, **_: found.update({key: table}))
    monkeypatch.setattr(artifacts, "create_markdown_artifact", lambda key, markdown, **_: found.update({key: markdown}))
    monkeypatch.chdir(tmp_path)
    Path("plots/deep").mkdir(parents=True)
    for name in ("plots/b.png", "plots/deep/a.png", "old.png"):
        Path(name).write_bytes(PNG)
    Path("plots/data.csv").write_text("1\n")
    return found


def test_stages_are_a_table_and_figures_are_of_what_was_made(written: dict[str, Any]) -> None:
    artifacts.publish(RESULTS, Path(), with_metrics=False)
    assert written["stages"] == [
        {
            "stage": "draw",
            "outcome": "ran",
            "seconds": 1.3,
            "why": "it is new",
            "outputs": "plots 01234567, m.json fedcba98",
        },
        {"stage": "old", "outcome": "unchanged", "seconds": 0.0, "why": "", "outputs": "old.png 00000000"},
    ]
    picture = "![{0}](data:image/png;base64,iVBORw==)"
    expected = (f"**{name}**\n\n{picture.format(name)}" for name in ("plots/b.png", "plots/deep/a.png"))
    assert written["figures"] == "\n\n".join(expected)
    assert "metrics" not in written


@pytest.mark.parametrize("found", [[], [{"metric": "dice", "value": "0.5"}]])
def test_metrics_are_a_table_if_there_are_any(
    written: dict[str, Any], monkeypatch: pytest.MonkeyPatch, found: list[dict[str, str]]
) -> None:
    monkeypatch.setattr(artifacts, "changes", lambda _: found)
    artifacts.publish(RESULTS[1:], Path(), with_metrics=True)
    assert written.get("metrics", []) == found
    assert "figures" not in written


@pytest.mark.usefixtures("written")
def test_not_too_many_figures_and_none_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("plots/large.png").write_bytes(bytes(artifacts.FIGURE_BYTES + 1))
    assert list(map(str, artifacts.figures(["plots", "old.png", "gone.png"]))) == [
        "plots/b.png",
        "plots/deep/a.png",
        "old.png",
    ]
    monkeypatch.setattr(artifacts, "FIGURES_SHOWN", 1)
    assert list(map(str, artifacts.figures(["plots", "old.png"]))) == ["plots/b.png"]
