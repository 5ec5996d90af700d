"""The tables and figures that a run leaves in Prefect."""

import hashlib
import json
from pathlib import Path

import pytest

from gliaflow.core.report import Asked, Outcome, StageResult, Used
from gliaflow.export import artifacts as module
from gliaflow.export.artifacts import artifacts, figures

PNG = b"\x89PNG"
HASH = hashlib.md5(PNG).hexdigest()
PICTURE = "**{0}**\n\n![{0}](data:image/png;base64,iVBORw==)"


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with a picture, and with a folder that holds it twice beside a table."""
    made = tmp_path / "cache"
    entries = [{"md5": HASH, "relpath": "b.png"}, {"md5": HASH, "relpath": "deep/a.png"}, {"md5": "0", "relpath": "c"}]
    listing = json.dumps(entries).encode()
    for value, data in ((HASH, PNG), (FOLDER, listing)):
        (made / value[:2]).mkdir(parents=True, exist_ok=True)
        (made / value[:2] / value[2:]).write_bytes(data)
    return made


FOLDER = "0123456789abcdef.dir"


def test_stages_are_a_table_and_figures_are_of_what_was_made(tmp_path: Path, cache: Path) -> None:
    results = [
        StageResult("draw", Outcome.RUN, "it is new", 1.26, {"plots": FOLDER, "m.json": "fedcba9876543210"}),
        StageResult("old", Outcome.UNCHANGED, outputs={"old.png": HASH}),
    ]
    stages, shown = artifacts(results, [], tmp_path, cache)
    assert (stages.key, stages.type) == ("stages", "table")
    assert json.loads(stages.data) == [
        {
            "stage": "draw",
            "outcome": "ran",
            "seconds": 1.3,
            "why": "it is new",
            "outputs": "plots 01234567, m.json fedcba98",
        },
        {"stage": "old", "outcome": "unchanged", "seconds": 0.0, "why": "", "outputs": f"old.png {HASH[:8]}"},
    ]
    assert (shown.key, shown.type) == ("figures", "markdown")
    assert shown.data == "\n\n".join(PICTURE.format(name) for name in ("plots/b.png", "plots/deep/a.png"))


def test_what_stages_used_stands_beside_what_they_asked_for(tmp_path: Path) -> None:
    used, asked = Used(2.0, 3.04, 3 << 29, 5 << 20, None, 1 << 30), Asked(4, 1, 2 << 30)
    results = [StageResult("train", Outcome.RUN, used=used, asked=asked), StageResult("old", Outcome.UNCHANGED)]
    (stages,) = artifacts(results, [], tmp_path, None)
    train, old = json.loads(stages.data)
    assert train.keys() == old.keys()
    found = {key: train[key] for key in train if key not in ("stage", "outcome", "seconds", "why", "outputs")}
    assert found == {
        "CPU seconds": 3.0,
        "CPUs asked": 4,
        "memory": "1.5 GB",
        "memory asked": "2 GB",
        "GPU memory": "1 GB",
        "GPUs asked": 1,
        "read": "5 MB",
        "written": "",
    }
    assert {old[key] for key in found} == {""}


def test_metrics_are_a_table_if_there_are_any(tmp_path: Path) -> None:
    rows = [{"metric": "dice", "value": "0.5"}]
    assert [one.key for one in artifacts([], [], tmp_path, None)] == ["stages"]
    assert json.loads(list(artifacts([], rows, tmp_path, None))[1].data) == rows


def test_a_figure_is_as_the_run_left_it(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"drawn since then")
    assert list(figures({"a.png": HASH}, tmp_path, cache)) == [("a.png", PNG)]
    assert list(figures({"a.png": HASH}, tmp_path)) == []
    (tmp_path / "a.png").write_bytes(PNG)
    assert list(figures({"a.png": HASH}, tmp_path)) == [("a.png", PNG)]


def test_a_folder_that_dvc_does_not_cache_is_looked_through(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/x.png").write_bytes(PNG)
    (tmp_path / "plots/y.txt").write_bytes(PNG)
    assert list(figures({"plots": FOLDER}, tmp_path)) == [("plots/x.png", PNG)]
    assert list(figures({"gone": FOLDER, "lost.png": HASH}, tmp_path)) == []


def test_not_too_many_figures_and_none_too_large(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIGURES_SHOWN", 1)
    assert [name for name, _ in figures({"plots": FOLDER}, tmp_path, cache)] == ["plots/b.png"]
    monkeypatch.setattr(module, "FIGURE_BYTES", len(PNG) - 1)
    assert list(figures({"plots": FOLDER}, tmp_path, cache)) == []
