"""points.csv: what is written comes back, and what is no such table is refused."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from stages.errors import BadInput
from stages.regression.points import Noise, read_points, write_points

Draw = Callable[[Noise, int], pd.DataFrame]


def test_a_table_comes_back_bit_for_bit(tmp_path: Path, draw: Draw) -> None:
    table = draw("growing", 1)
    write_points(table, tmp_path / "points.csv")
    assert read_points(tmp_path / "points.csv").equals(table)
    assert (tmp_path / "points.csv").read_bytes().startswith(b"x,y,true_mean,true_sigma\n0.0,")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a table of numbers"),
        ("x,y,true_mean,true_sigma\n0,a,1,1\n", "not a table of numbers"),
        ("x,y\n0,1\n1,2\n2,3\n", "has columns x, y, not x, y, true_mean, true_sigma"),
        ("x,y,true_mean,true_sigma\n0,1,1,1\n1,2,1,1\n", "has 2 points"),
        ("x,y,true_mean,true_sigma\n0,1,1,1\n1,,1,1\n2,3,1,1\n", "missing or not finite"),
        ("x,y,true_mean,true_sigma\n0,1,1,1\n1,inf,1,1\n2,3,1,1\n", "missing or not finite"),
        ("x,y,true_mean,true_sigma\n0,1,1,1\n0,2,1,1\n2,3,1,1\n", "x does not ascend"),
        ("x,y,true_mean,true_sigma\n0,1,1,1\n1,2,1,0\n2,3,1,1\n", "true_sigma is not positive"),
    ],
)
def test_a_table_that_is_not_one_of_points_is_refused(tmp_path: Path, text: str, problem: str) -> None:
    path = tmp_path / "points.csv"
    path.write_text(text)
    with pytest.raises(BadInput, match=problem) as caught:
        read_points(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        read_points(tmp_path / "points.csv")
