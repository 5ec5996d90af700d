"""The network as a Keras model, and training it on a few images.

Shapes: N images, H hidden units, S steps of B images.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stages.mnist.digits import CLASSES, SIDE, Bytes
from stages.mnist.network import PIXELS, Network, tf
from stages.mnist.pretrained.copies import Model, keras
from stages.mnist.steps import in_one_graph


class Score(NamedTuple):
    """How well a model does on images."""

    accuracy: float  # a fraction
    mean_cross_entropy: float  # nats


def as_keras(network: Network) -> Model:
    """A model of the layers `hidden` and `output` that holds copies of the network's weights.

    It takes images N 28 28 uint8 and gives the logits N 10 that the network gives.
    """
    images = keras.Input((SIDE, SIDE), dtype="uint8", name="images")
    pixels = keras.ops.reshape(keras.ops.cast(images, "float32") / 255, (-1, PIXELS))
    hidden = keras.layers.Dense(network.hidden_biases.shape[0], activation="relu", name="hidden")
    output = keras.layers.Dense(CLASSES, name="output")
    model = keras.Model(images, output(hidden(pixels)), name="digits")
    hidden.set_weights([network.hidden_weights, network.hidden_biases])
    output.set_weights([network.output_weights, network.output_biases])
    return model


def fine_tune(model: Model, images: Bytes, labels: Bytes, steps: NDArray[np.int64], learning_rate: float) -> float:
    """Train `model` by Adam, a step for each row of indices S B into `images` N 28 28 and `labels` N.

    The loss is the mean cross-entropy, and what the model's regularisers add. Returns its mean over the steps, nats.
    """
    x, y = tf.constant(images), tf.constant(labels, tf.int32)
    weights = model.trainable_variables
    optimizer = keras.optimizers.Adam(learning_rate)
    optimizer.build(weights)

    def step(rows: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            losses = _cross_entropies(model(tf.gather(x, rows), training=True), tf.gather(y, rows))
            loss = tf.add_n([tf.reduce_mean(losses), *model.losses])
        optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
        return loss

    return float(in_one_graph(step)(tf.constant(steps)))


def score(model: Model, images: Bytes, labels: Bytes) -> Score:
    """How `model` does on `images` N 28 28 with `labels` N, nothing dropped."""
    logits = model(tf.constant(images), training=False)
    losses = _cross_entropies(logits, tf.constant(labels, tf.int32)).numpy()
    right = logits.numpy().argmax(axis=1) == labels
    return Score(float(right.mean()), float(losses.mean(dtype=np.float64)))


def _cross_entropies(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=labels, logits=logits)
