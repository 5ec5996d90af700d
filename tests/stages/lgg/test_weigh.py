"""Weights by hand, and that they sum to 1."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import BadInput
from stages.lgg.tables import read_weights, write_table
from stages.lgg.weigh import main, weigh

ROOT = Path(__file__).parents[3]


def test_a_table_by_hand() -> None:
    # n = 4, A = 100: 0.1·A/n = 2.5, 1.1·A = 110
    weights = weigh(np.array([0, 10, 30, 60]))
    assert weights.dtype == np.float64
    assert weights.tolist() == pytest.approx([2.5 / 110, 12.5 / 110, 32.5 / 110, 62.5 / 110], rel=1e-15)


def test_one_slice_has_all_the_weight() -> None:
    assert weigh(np.array([7])).tolist() == pytest.approx([1])


@given(st.lists(st.integers(0, 65536), min_size=1, max_size=4000).filter(any))
def test_weights_sum_to_one_and_follow_the_tumour(areas: list[int]) -> None:
    weights = weigh(np.array(areas))
    assert abs(weights.sum() - 1) < 1e-12
    assert weights.min() >= 0.1 / (1.1 * len(areas)) * (1 - 1e-12)
    assert (np.diff(weights[np.argsort(areas)]) >= 0).all()


@pytest.mark.parametrize("areas", [[], [0], [0, 0, 0]])
def test_no_tumour_is_refused(areas: list[int]) -> None:
    with pytest.raises(BadInput, match="no slice of the training patients has tumour"):
        weigh(np.array(areas, np.int64))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    areas = [0, 10, 1000, 0, 30, 60]
    table = {"slice": range(6), "patient": list("aabbcc"), "institution": "DU", "number": [1, 2] * 3}
    write_table(pd.DataFrame(table | {"tumour_px": areas}), tmp_path / "slices.csv")
    split = pd.DataFrame({"patient": list("abc"), "subset": ["train", "validation", "train"]})
    write_table(split, tmp_path / "split.csv")
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_only_training_slices_are_weighed() -> None:
    main(Path("slices.csv"), Path("split.csv"), weights=Path("data/weights.csv"))
    weights = read_weights(Path("data/weights.csv"))
    assert weights["slice"].tolist() == [0, 1, 4, 5]
    assert weights["weight"].tolist() == weigh(np.array([0, 10, 30, 60])).tolist()
    assert Path("data/weights.csv").read_text().splitlines()[:2] == [
        "slice,weight",
        f"0,{(0 + 0.1 * 100 / 4) / (1.1 * 100)!r}",
    ]


def test_the_command_refuses_in_one_line(folder: Path) -> None:
    write_table(pd.DataFrame({"patient": list("abc"), "subset": "validation"}), folder / "split.csv")
    call = [sys.executable, "-W", "error", "-m", "stages.lgg.weigh", "slices.csv", "split.csv", "--weights=weights.csv"]
    failed = subprocess.run(
        call,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert failed.returncode == 2
    assert failed.stderr == (
        "error: no slice of the training patients has tumour, so none can be weighed; change lgg.split\n"
    )
    assert sorted(path.name for path in folder.iterdir()) == ["slices.csv", "split.csv"]
