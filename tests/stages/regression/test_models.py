from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from stages.errors import BadInput
from stages.regression import models
from stages.regression.bayes import Line
from stages.regression.points import Noise

X = np.arange(100) / 10
Y = 3 + 2 * X + np.sin(7 * X)


def model(noise: Noise) -> Any:
    """Mean 2x + 3; and with growing noise σ = 1e-3 + softplus(0.3·(0.5x + 1))."""
    result = models.build(noise)
    kernel, bias = np.array([[2.0, 0.5]], dtype=np.float32), np.array([3.0, 1.0], dtype=np.float32)
    heads = 1 if noise == "constant" else 2
    result.set_weights([kernel[:, :heads], bias[:heads]])
    return result


def log_density(y: Any, mean: Any, sigma: Any) -> Any:
    return -0.5 * np.log(2 * np.pi * sigma**2) - (y - mean) ** 2 / (2 * sigma**2)


def sigma_of(noise: Noise) -> Any:
    return np.ones(100) if noise == "constant" else 1e-3 + np.log1p(np.exp(0.3 * (0.5 * X + 1)))


@pytest.mark.parametrize("noise", get_args(Noise))
def test_a_model_gives_a_distribution_of_the_shape_of_its_input(noise: Noise) -> None:
    distribution = model(noise)(models.column(X))
    assert distribution.mean().shape == distribution.stddev().shape == distribution.sample(seed=1).shape == (100, 1)
    assert distribution.sample(5, seed=1).shape == (5, 100, 1)
    assert distribution.mean().numpy()[:, 0] == pytest.approx(2 * X + 3, rel=1e-6)
    assert distribution.stddev().numpy()[:, 0] == pytest.approx(sigma_of(noise), rel=1e-6)


def test_draws_from_a_model_have_its_mean_and_standard_deviation() -> None:
    distribution = model("growing")(models.column(X))
    draws = distribution.sample(4000, seed=1).numpy()[:, :, 0]
    assert draws.mean(axis=0) == pytest.approx(2 * X + 3, abs=5 * 2.2 / np.sqrt(4000))
    assert draws.std(axis=0) == pytest.approx(sigma_of("growing"), rel=5 / np.sqrt(2 * 4000))


def test_eight_under_a_normal_of_ten_and_one_by_hand() -> None:
    ten = models.build("constant")
    ten.set_weights([np.zeros((1, 1)), np.full(1, 10.0)])
    result = models.log_prob(ten, np.zeros((1, 1), np.float32), np.full((1, 1), 8, np.float32))
    assert result.numpy() == pytest.approx(-2.9189, abs=5e-5)


@pytest.mark.parametrize("noise", get_args(Noise))
def test_the_log_likelihood_has_one_term_a_point(noise: Noise) -> None:
    terms = models.log_prob(model(noise), models.column(X), models.column(Y)).numpy()
    by_hand = log_density(Y, 2 * X + 3, sigma_of(noise))
    assert terms.shape == (100, 1)
    assert terms[:, 0] == pytest.approx(by_hand, rel=1e-4)
    broadcast = log_density(Y[:, None], 2 * X + 3, sigma_of(noise))  # the trap: 100 × 100
    assert terms.mean() == pytest.approx(by_hand.mean(), rel=1e-5)
    assert abs(terms.mean() - broadcast.mean()) > 1


@pytest.mark.parametrize("noise", get_args(Noise))
def test_flat_targets_are_caught_before_they_are_broadcast(noise: Noise) -> None:
    with pytest.raises(AssertionError, match="N × N"):
        models.log_prob(model(noise), models.column(X), Y.astype(np.float32))


@pytest.mark.parametrize("noise", get_args(Noise))
def test_an_untrained_model_knows_nothing_of_x(noise: Noise) -> None:
    assert all(not weights.any() for weights in models.build(noise).get_weights())


@pytest.mark.parametrize(("noise", "sigma"), [("constant", 1.0), ("growing", Y.std())])
def test_the_start_is_the_mean_and_spread_of_y_whatever_x(noise: Noise, sigma: float) -> None:
    started = models.build(noise)
    models.start_at_marginal(started, models.column(Y))
    mean, stddev = models.predict(started, X)
    assert mean == pytest.approx(np.full(100, Y.mean()), rel=1e-6)
    assert stddev == pytest.approx(np.full(100, sigma), rel=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1e-4, 1e-2, 1e4])
def test_the_start_is_finite_for_any_spread(scale: float) -> None:
    started = models.build("growing")
    models.start_at_marginal(started, models.column(scale * Y))
    _, sigma = models.predict(started, X)
    assert sigma == pytest.approx(np.full(100, max(scale * Y.std(), 2e-3)), rel=1e-3)


def test_the_line_is_that_of_the_mean() -> None:
    assert models.line(model("growing")) == Line(slope=2.0, intercept=3.0)


@pytest.mark.parametrize("noise", get_args(Noise))
def test_a_model_comes_back_from_disk_and_the_same_weights_are_the_same_bytes(noise: Noise, tmp_path: Path) -> None:
    for name in ("once.npz", "again"):
        models.save(model(noise), tmp_path / name)
    back = models.restore(noise, tmp_path / "once.npz")
    assert all(map(np.array_equal, back.get_weights(), model(noise).get_weights()))
    assert (tmp_path / "once.npz").read_bytes() == (tmp_path / "again").read_bytes()


def test_the_weights_of_the_other_model_are_refused(tmp_path: Path) -> None:
    models.save(model("constant"), tmp_path / "model.npz")
    with pytest.raises(BadInput, match=r"model\.npz: does not hold the weights of the model of growing noise"):
        models.restore("growing", tmp_path / "model.npz")


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 cut short"])
def test_a_file_without_weights_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(BadInput, match="does not hold the weights"):
        models.restore("constant", tmp_path / "model.npz")


def test_other_arrays_are_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "model.npz", kernel=np.zeros((1, 1)))
    with pytest.raises(BadInput, match="does not hold the weights"):
        models.restore("constant", tmp_path / "model.npz")
    np.save(tmp_path / "model.npy", np.zeros(3))
    with pytest.raises(BadInput, match="does not hold the weights"):
        models.restore("constant", tmp_path / "model.npy")


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file"):
        models.restore("constant", tmp_path / "model.npz")
