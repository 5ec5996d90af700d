"""The network, 784 → hidden ReLU → 10, in plain TensorFlow variables, and its file models/mnist/network.npz.

Shapes: N images, H hidden units.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.mnist.digits import CLASSES, SIDE, read_arrays, write_arrays
from stages.quiet import silence

with silence():
    import tensorflow as tf

__all__ = ["Network", "initial", "prepare", "read_network", "tf", "write_network"]

PIXELS = SIDE * SIDE
WEIGHT_SD, BIAS_SD = 0.03, 1.0  # of the first values, normal around 0


@dataclass(frozen=True, eq=False)
class Network:
    """Weights and biases of both layers, float32."""

    hidden_weights: tf.Variable  # 784 H
    hidden_biases: tf.Variable  # H
    output_weights: tf.Variable  # H 10
    output_biases: tf.Variable  # 10

    @property
    def variables(self) -> dict[str, tf.Variable]:
        """All that is learnt, by name."""
        return dict(vars(self))

    def logits(self, images: tf.Tensor) -> tf.Tensor:
        """Images N 28 28 uint8 to logits N 10."""
        with tf.name_scope("pixels"):
            pixels = tf.reshape(tf.cast(images, tf.float32) / 255, [-1, PIXELS])
        with tf.name_scope("hidden"):
            hidden = tf.nn.relu(pixels @ self.hidden_weights + self.hidden_biases)
        with tf.name_scope("output"):
            return hidden @ self.output_weights + self.output_biases


def initial(hidden: int, generator: np.random.Generator) -> Network:
    """A network yet to be trained, of `hidden` units: weights N(0, 0.03²), biases N(0, 1)."""
    values = {
        name: generator.normal(0, BIAS_SD if len(shape) == 1 else WEIGHT_SD, shape)
        for name, shape in _shapes(hidden).items()
    }
    return _network(values)


def write_network(network: Network, path: Path) -> None:
    """Write the variables as `read_network` reads them."""
    write_arrays({name: variable.numpy() for name, variable in network.variables.items()}, path)


def read_network(path: Path) -> Network:
    """The network in the file `path`, of as many hidden units as it was trained with.

    Raises:
        BadInput: no such file, not an archive of these variables, or variables of other sizes.
    """
    values = read_arrays(path, [field.name for field in fields(Network)], "mnist-train")
    for name, shape in _shapes(values["hidden_biases"].size).items():
        value = values[name]
        if value.dtype != np.float32 or value.shape != shape:
            raise BadInput(
                f"{path}: {name} is {value.dtype} {value.shape}, not float32 {shape}; run dvc repro mnist-train"
            )
    return _network(values)


def prepare(threads: int) -> None:
    """Settle what the bits of a result depend on, threads and algorithms; only before anything has run."""
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)  # take what is needed, not the whole card
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()


def _shapes(hidden: int) -> dict[str, tuple[int, ...]]:
    return {
        "hidden_weights": (PIXELS, hidden),
        "hidden_biases": (hidden,),
        "output_weights": (hidden, CLASSES),
        "output_biases": (CLASSES,),
    }


def _network(values: dict[str, NDArray[Any]]) -> Network:
    return Network(**{name: tf.Variable(value, dtype=tf.float32, name=name) for name, value in values.items()})
