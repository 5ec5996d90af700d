import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from stages.regression.points import Noise, read_points
from stages.regression.simulate import SimulateParams

Draw = Callable[[Noise, int], pd.DataFrame]
Stage = Callable[..., subprocess.CompletedProcess[str]]


@pytest.mark.parametrize(("noise", "sigma"), [("constant", (3.0, 3.0, 3.0)), ("growing", (2.0, 2.15, 6.95))])
def test_the_points_stand_on_the_grid_with_the_line_and_the_noise_that_were_asked_for(
    draw: Draw, noise: Noise, sigma: tuple[float, ...]
) -> None:
    table = draw(noise, 1)
    assert table["x"].iloc[[0, 3, 99]].to_list() == [0.0, 0.3, 9.9]
    assert table["true_mean"].iloc[[0, 3, 99]].to_list() == pytest.approx([3.0, 3.6, 22.8])
    assert table["true_sigma"].iloc[[0, 3, 99]].to_list() == pytest.approx(sigma)
    assert len(table) == 100


@pytest.mark.parametrize("noise", get_args(Noise))
def test_the_noise_is_standard_normal_once_divided_by_its_sigma(draw: Draw, noise: Noise) -> None:
    tables = pd.concat([draw(noise, seed) for seed in range(200)])
    residual = (tables["y"] - tables["true_mean"]) / tables["true_sigma"]  # 20,000 draws
    assert residual.mean() == pytest.approx(0, abs=4 / np.sqrt(20_000))
    assert residual.std() == pytest.approx(1, abs=4 / np.sqrt(2 * 20_000))
    late = residual[tables["x"] > 5]
    assert late.std() == pytest.approx(1, abs=4 / np.sqrt(2 * 10_000))


def test_a_seed_gives_the_same_points_again_and_another_seed_others(draw: Draw) -> None:
    assert draw("constant", 7).equals(draw("constant", 7))
    assert not draw("constant", 7).equals(draw("constant", 8))


@pytest.mark.parametrize("wrong", [{"slope": float("nan")}, {"constant": {"sigma": 0}}, {"growing": {"slope": -1}}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {
        "seed": 1,
        "slope": 2,
        "intercept": 3,
        "constant": {"sigma": 3},
        "growing": {"slope": 0.5, "intercept": 2},
    }
    SimulateParams(**right)
    with pytest.raises(ValidationError):
        SimulateParams(**(right | wrong))


@pytest.mark.usefixtures("params")
def test_the_command_writes_the_points_of_its_parameters(tmp_path: Path, stage: Stage, draw: Draw) -> None:
    result = stage("simulate", "growing", "--points", "data/growing.csv")
    assert (result.returncode, result.stderr) == (0, "")
    assert read_points(tmp_path / "data/growing.csv").equals(draw("growing", 1))


@pytest.mark.parametrize(
    ("noise", "key", "says"),
    [
        ("shrinking", "sigma: 3", "shrinking"),
        ("constant", "sigma: -3", "regression.simulate.constant.sigma is -3"),
        ("constant", "sd: 3", "regression.simulate.constant.sd is not a known parameter"),
    ],
)
def test_the_command_refuses_in_one_line_and_writes_nothing(
    tmp_path: Path, params: str, stage: Stage, noise: str, key: str, says: str
) -> None:
    (tmp_path / "params.yaml").write_text(params.replace("sigma: 3", key))
    result = stage("simulate", noise, "--points", "points.csv")
    assert result.returncode == 2
    assert says in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
