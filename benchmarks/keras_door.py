"""A door of the shape in which people ask for it: a Keras model from a config, Adam, 5 epochs on digits.

Used by benchmarks.search, by warm workers as well as by a process for each individual.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.mnist.digits import Digits, read_digits
from stages.mnist.network import prepare, tf

DIGITS = Path("data/mnist/digits.npz")
EPOCHS = 5
LOADS = ("threads",)


def load(params: Mapping[str, Any]) -> Digits:
    """The digits."""
    prepare(params["threads"])
    return read_digits(DIGITS)


def train(data: Digits, params: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Build the model, compile it, and fit it epoch by epoch; the metrics of each."""
    tf.keras.utils.set_random_seed(params["seed"])
    layers = [tf.keras.Input((28, 28)), tf.keras.layers.Rescaling(1 / 255), tf.keras.layers.Flatten()]
    layers += [tf.keras.layers.Dense(units, activation="relu") for units in params["units"]]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf.keras.optimizers.Adam(params["rate"]), loss=loss, metrics=["accuracy"])
    for _ in range(EPOCHS):
        history = model.fit(data.x_train, data.y_train, batch_size=params["batch"], epochs=1, verbose=0)
        scores = model.evaluate(data.x_test, data.y_test, batch_size=1000, verbose=0)
        yield {"loss": history.history["loss"][0], "accuracy": scores[1]}
