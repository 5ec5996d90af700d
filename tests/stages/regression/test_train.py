import json
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest

from stages.errors import BadInput, UserError
from stages.regression import models
from stages.regression.points import Noise, write_points
from stages.regression.train import TrainParams, main, train

Draw = Callable[[Noise, int], pd.DataFrame]
Stage = Callable[..., subprocess.CompletedProcess[str]]
RECIPE = TrainParams(seed=1, epochs=5, batch=32, learning_rate=0.05, threads=1)


def fitted(noise: Noise, points: pd.DataFrame, params: TrainParams) -> tuple[Any, dict[int, float]]:
    """The model after the last epoch, and the loss of each epoch by its number."""
    epochs = list(train(noise, points, params))
    return epochs[-1].model, {epoch.number: epoch.loss for epoch in epochs}


def adam(table: pd.DataFrame, params: TrainParams) -> tuple[Any, list[float]]:
    """What `train` does with constant noise, in float64 by hand: (slope, intercept), and the loss of each epoch."""
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    weights, first, second, step = np.array([0.0, y.mean()]), np.zeros(2), np.zeros(2), 0
    generator, losses = np.random.default_rng(params.seed), []
    for _ in range(params.epochs):
        order, nll = generator.permutation(len(x)), 0.0
        for rows in np.split(order, range(params.batch, len(x), params.batch)):
            residual = y[rows] - weights[0] * x[rows] - weights[1]
            nll += (0.5 * np.log(2 * np.pi) + residual**2 / 2).sum()
            gradient = -np.array([(residual * x[rows]).sum(), residual.sum()]) / params.batch
            step += 1
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient**2
            corrected = first / (1 - 0.9**step), second / (1 - 0.999**step)
            weights = weights - params.learning_rate * corrected[0] / (np.sqrt(corrected[1]) + 1e-7)
        losses.append(nll / len(x))
    return weights, losses


def test_training_is_adam_on_the_mean_of_the_points_with_the_short_batch_weighing_less(draw: Draw) -> None:
    table = draw("constant", 1)
    model, losses = fitted("constant", table, RECIPE)
    weights, by_hand = adam(table, RECIPE)
    line = models.line(model)
    assert (line.slope, line.intercept) == pytest.approx(tuple(weights), rel=1e-4)
    assert list(losses) == [1, 2, 3, 4, 5]
    assert list(losses.values()) == pytest.approx(by_hand, rel=1e-4)


@pytest.mark.parametrize("noise", get_args(Noise))
def test_training_twice_gives_the_same_bits_and_another_seed_others(draw: Draw, noise: Noise) -> None:
    once, again, other = (
        fitted(noise, draw(noise, 1), replace(RECIPE, seed=seed))[0].get_weights() for seed in (1, 1, 2)
    )
    assert all(map(np.array_equal, once, again))
    assert not all(map(np.array_equal, once, other))


def test_a_batch_may_hold_more_than_all_points(draw: Draw) -> None:
    _, losses = fitted("constant", draw("constant", 1), replace(RECIPE, batch=1000, epochs=50))
    assert losses[50] < losses[1]


def test_a_loss_that_is_not_finite_says_what_to_lower(draw: Draw) -> None:
    with pytest.raises(UserError, match=r"epoch \d+; lower regression\.train\.learning_rate"):
        fitted("growing", draw("growing", 1), replace(RECIPE, learning_rate=1e38))


@pytest.mark.usefixtures("params")
def test_the_command_writes_the_same_bytes_twice_and_keeps_the_terminal_clean(
    tmp_path: Path, stage: Stage, draw: Draw
) -> None:
    write_points(draw("growing", 1), tmp_path / "points.csv")
    written = []
    for run in ("once", "again"):
        result = stage("train", "growing", "points.csv", "--model", f"{run}/m.npz", "--curves", f"{run}/c")
        assert (result.returncode, result.stderr) == (0, "")
        files = sorted(path for path in (tmp_path / run).rglob("*") if path.is_file())
        written.append({str(path.relative_to(tmp_path / run)): path.read_bytes() for path in files})
    assert list(written[0]) == ["c/metrics.json", "c/plots/metrics/training_points_mean_nll.tsv", "m.npz"]
    assert written[0] == written[1]
    assert json.loads(written[0]["c/metrics.json"])["step"] == 40
    assert written[0]["c/plots/metrics/training_points_mean_nll.tsv"].count(b"\n") == 41
    (run_folder,) = (tmp_path / "runs/regression-train@growing").iterdir()
    assert len(list(run_folder.iterdir())) == 1  # of the second run


@pytest.mark.usefixtures("params")
def test_a_missing_table_is_refused_and_nothing_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match=r"^points\.csv: no such file; run dvc repro$"):
        main("constant", Path("points.csv"), model=Path("m.npz"), curves=Path("curves"))
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]
