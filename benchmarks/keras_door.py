"""A door of the shape in which people ask for it: a Keras model from a config, Adam, 5 epochs on digits.

Used by benchmarks.search, by warm workers as well as by a process for each individual. Where the config says so, a
compiled model stays with the data, and the next individual of the same shape begins in it with first weights.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from stages.mnist.digits import Digits, read_digits
from stages.mnist.network import prepare, tf

DIGITS = Path("data/mnist/digits.npz")
EPOCHS = 5
LOADS = ("threads",)


class Data(NamedTuple):
    """What stays between individuals."""

    digits: Digits
    models: dict[tuple[int, ...], Any]  # compiled, by the units of their layers


def load(params: Mapping[str, Any]) -> Data:
    """The digits."""
    prepare(params["threads"])
    return Data(read_digits(DIGITS), {})


def train(data: Data, params: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Build the model, compile it, and fit it; its metrics in the end, as one who does not halve would have them."""
    tf.keras.utils.set_random_seed(params["seed"])
    shape = tuple(params["units"])
    kept = params["kept"] and data.models.get(shape)
    model = _begun_anew(kept, params) if kept else _compiled(params)
    if params["kept"]:
        data.models[shape] = model
    digits = data.digits
    history = model.fit(digits.x_train, digits.y_train, batch_size=params["batch"], epochs=EPOCHS, verbose=0)
    scores = model.evaluate(digits.x_test, digits.y_test, batch_size=1000, verbose=0)
    yield {"loss": history.history["loss"][-1], "accuracy": scores[1]}


def _compiled(params: Mapping[str, Any]) -> Any:
    layers = [tf.keras.Input((28, 28)), tf.keras.layers.Rescaling(1 / 255), tf.keras.layers.Flatten()]
    layers += [tf.keras.layers.Dense(units, activation="relu") for units in params["units"]]
    model = tf.keras.Sequential([*layers, tf.keras.layers.Dense(10)])
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=tf.keras.optimizers.Adam(params["rate"]), loss=loss, metrics=["accuracy"])
    return model


def _begun_anew(model: Any, params: Mapping[str, Any]) -> Any:
    """A compiled model as a new one of this seed would be: first weights, and an optimiser that knows nothing."""
    for layer in model.layers:
        if isinstance(layer, tf.keras.layers.Dense):
            fresh = type(layer).from_config(layer.get_config())
            fresh.build((None, layer.kernel.shape[0]))
            layer.set_weights(fresh.get_weights())
    for variable in model.optimizer.variables:
        variable.assign(tf.zeros_like(variable))
    model.optimizer.learning_rate = params["rate"]
    return model
