"""Where journals lie, which are removed, and how another command finds them."""

import os
import time
from pathlib import Path

import pytest

from gliaflow.journal import folder as module
from gliaflow.journal.folder import folder, home, journals, prune, remember, remembered
from tests.support.journals import journal, written


def test_journals_lie_in_the_repository_around_a_folder(tmp_path: Path) -> None:
    (tmp_path / "data/.dvc").mkdir(parents=True)
    (tmp_path / "data/deep").mkdir()
    assert folder(tmp_path / "data/deep") == tmp_path / "data/.dvc/tmp/gliaflow/runs"
    assert folder(tmp_path) is None


def test_home_is_that_of_prefect() -> None:
    assert home({"PREFECT_HOME": "/somewhere"}) == Path("/somewhere")
    assert home({}) == Path.home() / ".prefect"


def test_a_repository_is_noted_once_and_forgotten_when_it_is_gone(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        remember(tmp_path / name, tmp_path / "home")
    remember(tmp_path / "a", tmp_path / "home")
    assert sorted(remembered(tmp_path / "home")) == [tmp_path / "a", tmp_path / "b"]
    (tmp_path / "a").rmdir()
    assert list(remembered(tmp_path / "home")) == [tmp_path / "b"]
    assert list(remembered(tmp_path / "no home")) == []


def aged(path: Path, days: float) -> None:
    when = time.time() - days * 24 * 3600
    os.utime(path, (when, when))


def test_too_many_too_old_and_too_large_ones_go_with_what_was_noted_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_RUNS", 3)
    names = [f"2026010{day}-000000-abcdef" for day in range(1, 6)]
    for name in names:
        (tmp_path / f"{name}.jsonl").write_text("{}\n")
        (tmp_path / f"{name}.sent").write_text("{}")
    aged(tmp_path / f"{names[3]}.jsonl", 31)
    prune(tmp_path)
    assert [path.stem for path in journals(tmp_path)] == [names[2], names[4]]
    assert sorted(path.name for path in tmp_path.glob("*.sent")) == [f"{names[2]}.sent", f"{names[4]}.sent"]
    monkeypatch.setattr(module, "MOST_BYTES", 4)
    prune(tmp_path)
    assert [path.stem for path in journals(tmp_path)] == [names[4]]


def test_that_of_a_run_which_goes_on_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_RUNS", 0)
    running = journal(tmp_path / "runs", tmp_path)
    ended = written(tmp_path / "runs", tmp_path)
    prune(tmp_path / "runs")
    assert running.path.exists()
    assert not ended.exists()
    running.close()


def test_of_runs_that_began_in_the_same_second_the_one_that_told_last_is_the_newest(tmp_path: Path) -> None:
    names = ["20260101-120000-f.jsonl", "20260101-120000-0.jsonl", "20260101-120001-5.jsonl", "20260101-115959-9.jsonl"]
    for told, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (1000 + told, 1000 + told))
    assert [path.name for path in journals(tmp_path)] == [names[3], names[0], names[1], names[2]]
