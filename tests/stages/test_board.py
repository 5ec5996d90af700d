"""The names of TensorBoard's runs."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from stages.board import LONGEST, RUNS, board, name


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ({"seed": 1}, {"seed": 1}, "as committed"),
        ({"seed": 1}, {"seed": 2}, "seed=2"),
        ({"train": {"epochs": 5, "seed": 1}}, {"train": {"epochs": 20, "seed": 1}}, "train.epochs=20"),
        ({"a": 1, "b": {"c": 2}}, {"a": 3, "b": {"c": 4}}, "a=3,b.c=4"),
        ({"old": 1}, {}, "old=None"),
        ({}, {"source": "path/to archive.zip"}, "source=path_to archive.zip"),
    ],
)
def test_a_run_is_named_by_what_differs(before: dict[str, Any], now: dict[str, Any], expected: str) -> None:
    assert name(before, now) == expected


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    one, other = (name({}, {"path": f"{'x' * 200}{end}"}) for end in "12")
    assert len(one) == len(other) == LONGEST
    assert one != other


def test_the_last_commit_is_what_counts(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("lgg: {train: {epochs: 5, seed: 1}}\nmnist: {seed: 1}\n")
    unknown = board("lgg-train", "lgg", params)
    assert unknown.parent == RUNS / "lgg-train"
    assert len(unknown.name) == 8
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@localhost"]
    for line in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "Parameters"]):
        subprocess.run([*git, *line], cwd=tmp_path, check=True)
    assert board("lgg-train", "lgg", params) == RUNS / "lgg-train/as committed"
    params.write_text("lgg: {train: {epochs: 20, seed: 1}}\nmnist: {seed: 2}\n")
    assert board("lgg-train", "lgg", params) == RUNS / "lgg-train/train.epochs=20"
    assert board("mnist-train", "mnist", params) == RUNS / "mnist-train/seed=2"
