import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.errors import BadInput
from stages.regression import models
from stages.regression.evaluate import evaluate, shortfall
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


def fitted(noise: Noise, table: pd.DataFrame, params: TrainParams) -> Any:
    """The model after the last epoch."""
    *_, last = train(noise, table, params)
    return last.model


@pytest.fixture(scope="module")
def metrics_of(draw: Draw) -> MetricsOf:
    """The metrics of a model that is trained, once, by the recipe on the points of a noise and a seed."""

    @cache
    def metrics(noise: Noise, seed: int) -> Metrics:
        table = draw(noise, seed)
        return evaluate(noise, table, fitted(noise, table, RECIPE))

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
            "training_points_fit_is_good": True,
        },
        abs=1e-6,
    )


def lack(noise: Noise, table: pd.DataFrame, model: Any) -> str | None:
    """What the fit lacks, by its metrics, which hold the same verdict."""
    metrics = evaluate(noise, table, model)
    found = shortfall(noise, metrics)
    good = found is None
    assert metrics["training_points_fit_is_good"] == good
    return found


@pytest.mark.parametrize(("slope", "intercept"), [(1.61, 7 / 6), (1.39, 7 / 6), (1.5, 1.47), (1.5, 0.86)])
def test_a_line_off_least_squares_falls_short(slope: float, intercept: float) -> None:
    found = lack("constant", HAND, weights("constant", [slope], [intercept])) or ""
    assert found.startswith("the fitted line is off least squares by ")


@pytest.mark.parametrize(("slope", "intercept"), [(1.59, 7 / 6), (1.5, 1.46)])
def test_a_line_just_within_the_tolerance_passes(slope: float, intercept: float) -> None:
    assert lack("constant", HAND, weights("constant", [slope], [intercept])) is None


@pytest.mark.parametrize("rise", [-1.0, 0.0])
def test_a_sigma_that_does_not_rise_falls_short(draw: Draw, rise: float) -> None:
    found = lack("growing", draw("growing", 1), weights("growing", [2.0, rise], [3.0, 15.0])) or ""
    assert found.startswith("the fitted σ does not rise with x")


def test_a_fit_no_likelier_than_least_squares_falls_short(draw: Draw) -> None:
    found = lack("growing", draw("growing", 1), weights("growing", [0.0, 1.0], [0.0, 15.0])) or ""
    assert re.match(r"the mean NLL of the fit, [\d.]+, is not below least squares'", found)


@pytest.mark.parametrize("epochs", [1, 2, 20])
@pytest.mark.parametrize("noise", ["constant", "growing"])
def test_any_number_of_epochs_can_be_scored(draw: Draw, noise: Noise, epochs: int) -> None:
    table = draw(noise, 1)
    model = fitted(noise, table, replace(RECIPE, epochs=epochs))
    metrics = evaluate(noise, table, model)
    assert json.loads(json.dumps(metrics, allow_nan=False)) == metrics


@pytest.mark.parametrize(("noise", "heads"), [("constant", 1), ("growing", 2)])
def test_a_model_that_is_not_a_number_is_refused(draw: Draw, noise: Noise, heads: int) -> None:
    with pytest.raises(BadInput, match=f"{noise} noise: no finite numbers, the model's line is nan"):
        evaluate(noise, draw(noise, 1), weights(noise, [np.nan] * heads, [np.nan] * heads))


@pytest.mark.usefixtures("params")
def test_the_command_warns_of_a_bad_fit_in_one_line_and_writes_the_metrics_and_figures_of_any(
    tmp_path: Path, stage: Stage, draw: Draw
) -> None:
    write_points(draw("growing", 1), tmp_path / "points.csv")
    bad, good = weights("growing", [2.0, -1.0], [3.0, 15.0]), weights("growing", [2.0, 1.7], [3.0, 6.0])
    warning = (
        r"warning: growing noise: the fitted σ does not rise with x \([\d.]+ to [\d.]+\); "
        r"training_points_fit_is_good is false; raise regression\.train\.epochs or change its learning_rate\n"
    )
    for name, model, line in (("bad", bad, warning), ("good", good, "")):
        models.save(model, tmp_path / "model.npz")
        outputs = ("--metrics", f"{name}/evaluate.json", "--figures", f"{name}/figures")
        result = stage("evaluate", "growing", "points.csv", "model.npz", *outputs)
        assert result.returncode == 0
        assert re.fullmatch(line, result.stderr)
        written = (tmp_path / name / "evaluate.json").read_text()
        assert json.loads(written) == pytest.approx(evaluate("growing", draw("growing", 1), model))
        assert json.loads(written)["training_points_fit_is_good"] is (name == "good")
        assert written.endswith("}\n")
        figures = {path.name for path in (tmp_path / name / "figures").iterdir()}
        assert figures == {"points.png", "fit.png", "priors.png"}


@pytest.mark.usefixtures("params")
def test_the_command_refuses_what_is_no_model(tmp_path: Path, stage: Stage, draw: Draw) -> None:
    write_points(draw("growing", 1), tmp_path / "points.csv")
    models.save(weights("growing", [np.nan] * 2, [np.nan] * 2), tmp_path / "model.npz")
    result = stage("evaluate", "growing", "points.csv", "model.npz", "--metrics", "m.json", "--figures", "figures")
    assert result.returncode == 2
    assert result.stderr == "error: growing noise: no finite numbers, the model's line is nan·x + nan; train it again\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.npz", "params.yaml", "points.csv"]
