import json
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.errors import UserError
from stages.regression import models
from stages.regression.evaluate import evaluate
from stages.regression.points import Noise, write_points
from stages.regression.train import TrainParams, train

Draw = Callable[[Noise, int], pd.DataFrame]
Stage = Callable[..., subprocess.CompletedProcess[str]]
Metrics = dict[str, float]
MetricsOf = Callable[[Noise, int], Metrics]
RECIPE = TrainParams(seed=1, epochs=500, batch=32, learning_rate=0.05, threads=1)
HAND = pd.DataFrame({"x": [0.0, 1.0, 2.0], "y": [1.0, 3.0, 4.0], "true_mean": 0.0, "true_sigma": 1.0})
SEEDS = range(5)


def weights(noise: Noise, kernel: list[float], bias: list[float]) -> Any:
    model = models.build(noise)
    model.set_weights([np.array([kernel]), np.array(bias)])
    return model


@pytest.fixture(scope="module")
def metrics_of(draw: Draw) -> MetricsOf:
    """The metrics of a model that is trained, once, by the recipe on the points of a noise and a seed."""

    @cache
    def metrics(noise: Noise, seed: int) -> Metrics:
        table = draw(noise, seed)
        return evaluate(noise, table, train(noise, table, RECIPE, lambda _epoch, _loss: None))

    return metrics


@pytest.mark.parametrize("seed", SEEDS)
def test_with_constant_noise_the_fit_is_least_squares(metrics_of: MetricsOf, seed: int) -> None:
    metrics = metrics_of("constant", seed)
    assert abs(metrics["training_points_slope_difference"]) < 0.03  # what must hold is 0.1, ...
    assert abs(metrics["training_points_intercept_difference"]) < 0.04  # ... and 0.3
    assert "training_points_sigma_rises" not in metrics


@pytest.mark.parametrize("seed", SEEDS)
def test_with_growing_noise_sigma_rises_and_the_fit_is_likelier_than_least_squares(
    metrics_of: MetricsOf, seed: int
) -> None:
    metrics = metrics_of("growing", seed)
    assert metrics["training_points_sigma_rises"]
    assert 1 < metrics["training_points_sigma_first"] < 3  # truly 2
    assert 5 < metrics["training_points_sigma_last"] < 9  # truly 6.95
    assert metrics["training_points_model_mean_nll"] < metrics["training_points_least_squares_mean_nll"] - 0.02


def test_the_metrics_by_hand() -> None:
    # least squares: 3/2 x + 7/6, residuals −1/6, 1/3, −1/6, mean square 1/18; its NLL ½ (ln 2π/18 + 1)
    # the model: 1.5 x + 1, residuals 0, ½, 0 under σ = 1; its NLL ½ ln 2π + 1/24
    metrics = evaluate("constant", HAND, weights("constant", [1.5], [1.0]))
    assert metrics == pytest.approx(
        {
            "training_points": 3,
            "training_points_model_slope": 1.5,
            "training_points_model_intercept": 1.0,
            "training_points_least_squares_slope": 1.5,
            "training_points_least_squares_intercept": 7 / 6,
            "training_points_slope_difference": 0.0,
            "training_points_intercept_difference": -1 / 6,
            "training_points_model_mean_nll": 0.5 * np.log(2 * np.pi) + 1 / 24,
            "training_points_least_squares_mean_nll": 0.5 * (np.log(2 * np.pi / 18) + 1),
        },
        abs=1e-6,
    )


@pytest.mark.parametrize(("slope", "intercept"), [(1.61, 7 / 6), (1.39, 7 / 6), (1.5, 1.47), (1.5, 0.86)])
def test_a_line_off_least_squares_is_refused(slope: float, intercept: float) -> None:
    with pytest.raises(UserError, match=r"constant noise: the fitted line is off .*; raise regression\.train\.epochs"):
        evaluate("constant", HAND, weights("constant", [slope], [intercept]))


@pytest.mark.parametrize(("slope", "intercept"), [(1.59, 7 / 6), (1.5, 1.46)])
def test_a_line_just_within_the_tolerance_passes(slope: float, intercept: float) -> None:
    evaluate("constant", HAND, weights("constant", [slope], [intercept]))


@pytest.mark.parametrize("rise", [-1.0, 0.0])
def test_a_sigma_that_does_not_rise_is_refused(draw: Draw, rise: float) -> None:
    with pytest.raises(UserError, match="growing noise: the fitted σ does not rise with x"):
        evaluate("growing", draw("growing", 1), weights("growing", [2.0, rise], [3.0, 15.0]))


def test_a_fit_no_likelier_than_least_squares_is_refused(draw: Draw) -> None:
    with pytest.raises(UserError, match=r"the mean NLL of the fit, [\d.]+, is not below least squares'"):
        evaluate("growing", draw("growing", 1), weights("growing", [0.0, 1.0], [0.0, 15.0]))


@pytest.mark.parametrize(("noise", "heads"), [("constant", 1), ("growing", 2)])
def test_a_model_that_is_not_a_number_is_refused(draw: Draw, noise: Noise, heads: int) -> None:
    with pytest.raises(UserError, match="nan"):
        evaluate(noise, draw(noise, 1), weights(noise, [np.nan] * heads, [np.nan] * heads))


@pytest.mark.usefixtures("params")
def test_the_command_refuses_in_one_line_and_writes_nothing_or_writes_metrics_and_figures(
    tmp_path: Path, stage: Stage, draw: Draw
) -> None:
    write_points(draw("growing", 1), tmp_path / "points.csv")
    outputs = ("--metrics", "results/evaluate.json", "--figures", "results/figures")

    models.save(weights("growing", [2.0, -1.0], [3.0, 15.0]), tmp_path / "model.npz")
    result = stage("evaluate", "growing", "points.csv", "model.npz", *outputs)
    assert result.returncode == 2
    assert result.stderr.startswith("error: growing noise: the fitted σ does not rise with x")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()

    good = weights("growing", [2.0, 1.7], [3.0, 6.0])
    models.save(good, tmp_path / "model.npz")
    result = stage("evaluate", "growing", "points.csv", "model.npz", *outputs)
    assert (result.returncode, result.stderr) == (0, "")
    written = (tmp_path / "results/evaluate.json").read_text()
    assert json.loads(written) == pytest.approx(evaluate("growing", draw("growing", 1), good))
    assert written.endswith("}\n")
    figures = {path.name for path in (tmp_path / "results/figures").iterdir()}
    assert figures == {"points.png", "fit.png", "priors.png"}
