"""The network as a Keras model, the arithmetic of a step of tuning, and scores by hand."""

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.mnist.digits import Digits
from stages.mnist.network import Network, initial, tf
from stages.mnist.pretrained.copies import keras
from stages.mnist.pretrained.surgery import freeze, regularise
from stages.mnist.pretrained.tuning import as_keras, fine_tune, score
from tests.stages.mnist.pretrained.keras_models import state

RATE, L2 = 0.01, 0.5


@pytest.fixture
def network() -> Network:
    return initial(16, np.random.default_rng(3))


def probabilities(network: Network, images: NDArray[np.uint8]) -> NDArray[np.float64]:
    logits = network.logits(images).numpy().astype(float)
    return np.asarray(np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


@pytest.mark.parametrize("hidden", [1, 16, 300])
def test_the_keras_model_gives_the_logits_of_the_network(hidden: int, digits: Digits) -> None:
    network = initial(hidden, np.random.default_rng(4))
    logits, ours = network.logits(digits.x_test).numpy(), as_keras(network)(digits.x_test).numpy()
    assert ours.shape == (100, 10)
    assert abs(ours - logits).max() <= 1e-6


def test_the_network_stays_as_it_is(network: Network, digits: Digits) -> None:
    before = network.logits(digits.x_test).numpy()
    fine_tune(as_keras(network), digits.x_train, digits.y_train, np.arange(20).reshape(2, 10), RATE)
    assert np.array_equal(network.logits(digits.x_test).numpy(), before)


def test_one_step_by_hand(network: Network, digits: Digits) -> None:
    model, rows = as_keras(network), np.array([[0, 5, 5, 7]])
    loss = fine_tune(model, digits.x_train, digits.y_train, rows, RATE)
    labels = digits.y_train[rows[0]]
    guesses = probabilities(network, digits.x_train[rows[0]])
    assert loss == pytest.approx(-np.log(guesses[np.arange(4), labels]).mean(), rel=1e-5)
    slope = (guesses - np.eye(10)[labels]).mean(axis=0)  # of the loss by the output's biases
    moved = model.get_layer("output").get_weights()[1] - network.output_biases.numpy()
    assert moved == pytest.approx(-RATE * slope / (abs(slope) + 1e-7), rel=1e-3)  # Adam's first step


def test_regularisers_are_part_of_the_loss_and_of_the_step(network: Network, digits: Digits) -> None:
    plain = as_keras(network)
    model = regularise(plain, keras.regularizers.L2(L2), layers=["hidden"])
    kernel = network.hidden_weights.numpy().astype(float)
    images = digits.x_train[:4].copy()
    images[:, 0, 0] = 0  # of this pixel's weights, only L2 pulls
    loss, bare = (fine_tune(one, images, digits.y_train[:4], np.array([[0, 1, 2, 3]]), RATE) for one in (model, plain))
    assert loss - bare == pytest.approx(L2 * (kernel**2).sum(), rel=1e-5)
    moved = [one.get_layer("hidden").get_weights()[0][0] - kernel[0] for one in (model, plain)]
    assert moved[0] == pytest.approx(-RATE * np.sign(kernel[0]), rel=1e-3)  # Adam's first step
    assert moved[1].tolist() == [0] * 16


def test_the_loss_is_the_mean_over_steps(network: Network, digits: Digits) -> None:
    rows = np.random.default_rng(5).integers(200, size=(6, 10))
    loss = fine_tune(as_keras(network), digits.x_train, digits.y_train, rows, 1e-12)
    guesses, labels = probabilities(network, digits.x_train[rows.ravel()]), digits.y_train[rows.ravel()]
    assert loss == pytest.approx(-np.log(guesses[np.arange(60), labels]).mean(), rel=1e-5)


def test_layers_know_that_they_train(network: Network, digits: Digits) -> None:
    norm = keras.layers.BatchNormalization()
    model = keras.Sequential([keras.Input((28, 28), dtype="uint8"), as_keras(network), norm])
    fine_tune(model, digits.x_train, digits.y_train, np.arange(20).reshape(1, 20), RATE)
    mean = network.logits(digits.x_train[:20]).numpy().mean(axis=0)
    assert np.asarray(norm.moving_mean) == pytest.approx(0.01 * mean, rel=1e-4)  # its momentum is 0.99


def test_what_is_frozen_does_not_move(network: Network, digits: Digits) -> None:
    model = freeze(as_keras(network), layers=["hidden"])
    before = state(model)
    fine_tune(model, digits.x_train, digits.y_train, np.arange(40).reshape(4, 10), RATE)
    moved = [path for (path, *_, old), (*_, new) in zip(before, state(model), strict=True) if old != new]
    assert moved == ["output/kernel", "output/bias"]


def test_the_score_by_hand(digits: Digits) -> None:
    """A network that says, of any image: 4 with logit 2, else 0."""
    biases = np.zeros(10, np.float32)
    biases[4] = 2
    blank = [np.zeros(shape, np.float32) for shape in ((784, 3), (3,), (3, 10))]
    model = as_keras(Network(*[tf.Variable(value) for value in (*blank, biases)]))
    found = score(model, digits.x_test[:4], np.array([4, 4, 0, 9], np.uint8))
    assert found.accuracy == 0.5
    assert found.mean_cross_entropy == pytest.approx(np.log(9 + np.e**2) - 1)


def test_nothing_is_dropped_where_it_is_scored(network: Network, digits: Digits) -> None:
    model = keras.Sequential([keras.Input((28, 28), dtype="uint8"), as_keras(network), keras.layers.Dropout(0.9)])
    assert score(model, digits.x_test, digits.y_test) == score(as_keras(network), digits.x_test, digits.y_test)
