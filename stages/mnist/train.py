"""Train the three-layer network with a gradient tape.

Inputs:  data/mnist/digits.npz (x_train, x_test N 28 28 uint8; y_train, y_test N uint8)
Outputs: models/mnist/network.npz (weights and biases, float32); the curves of loss (nats) and test accuracy by epoch

All images stay on the device as uint8, and one call runs an epoch there: no step waits for the host.
"""

import math
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import growing, staged
from stages.board import board
from stages.command import run
from stages.errors import BadParameters
from stages.mnist.digits import CLASSES, Digits, read_digits
from stages.mnist.network import Network, initial, prepare, tf, write_network
from stages.mnist.steps import in_one_graph
from stages.params import STRICT_KEYS, load


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class TrainParams:
    """Parameters of mnist.train."""

    seed: Annotated[int, Field(ge=0)]
    """Of the first weights and of the batches."""
    epochs: Annotated[int, Field(ge=1)]
    batches: Annotated[int, Field(ge=1)]
    """Steps an epoch; each draws its images anew, with replacement."""
    batch: Annotated[int, Field(ge=1)]
    """Images a step."""
    hidden: Annotated[int, Field(ge=1)]
    """Units of the hidden layer."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Adam's; all else of Adam is at its defaults."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads; the bits of the weights may depend on it."""


class Epoch(NamedTuple):
    """How one epoch went."""

    number: int  # from 1
    loss: float  # cross-entropy, mean over the images drawn, nats
    test_accuracy: float  # after the epoch, a fraction
    network: Network  # as it is now: the next epoch changes it


def train(digits: Digits, params: TrainParams) -> Iterator[Epoch]:
    """Train a network from its first weights on; yield each epoch as it ends.

    Raises:
        BadParameters: the loss is no longer a number.
    """
    generator = np.random.default_rng(params.seed)
    network = initial(params.hidden, generator)
    run_epoch = _epoch(network, digits, params.learning_rate)
    test_images = tf.constant(digits.x_test)
    for number in range(1, params.epochs + 1):
        chosen = generator.integers(len(digits.y_train), size=(params.batches, params.batch))
        loss = float(run_epoch(tf.constant(chosen)))
        if not math.isfinite(loss):
            raise BadParameters(f"mnist.train: the loss is {loss} in epoch {number}; lower learning_rate")
        predicted = network.logits(test_images).numpy().argmax(axis=1)
        yield Epoch(number, loss, float((predicted == digits.y_test).mean()), network)


def _epoch(network: Network, digits: Digits, learning_rate: float) -> Callable[[tf.Tensor], tf.Tensor]:
    """A graph that takes a step for each row of indices, steps batch int64, and gives the mean loss."""
    images = tf.constant(digits.x_train)
    targets = tf.one_hot(digits.y_train, CLASSES)
    variables = list(network.variables.values())
    optimizer = tf.keras.optimizers.Adam(learning_rate)
    optimizer.build(variables)

    def step(rows: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits = network.logits(tf.gather(images, rows))
            losses = tf.nn.softmax_cross_entropy_with_logits(labels=tf.gather(targets, rows), logits=logits)
            loss = tf.reduce_mean(losses)
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    return in_one_graph(step)


def main(digits: Path, *, model: Path, curves: Path) -> None:
    """Train the network on DIGITS into the file MODEL; log curves to the folder CURVES.

    Parameters: mnist.train of params.yaml. TensorBoard: runs/mnist-train.
    """
    from dvclive import Live

    params = load(TrainParams, "mnist.train")
    prepare(params.threads)
    data = read_digits(digits)
    run_folder = board("mnist-train", "mnist")
    shutil.rmtree(run_folder, ignore_errors=True)  # of an earlier training that differed in nothing
    writer = tf.summary.create_file_writer(str(run_folder))
    with (
        staged(model) as (path,),
        # Curves grow while training goes on, for whoever watches; so they are not staged as the model is.
        growing(curves / "metrics.json", curves / "plots" / "metrics"),
        Live(str(curves), dvcyaml=None, save_dvc_exp=False, report=None) as live,
        writer.as_default(),
    ):

        def log(epoch: Epoch) -> None:
            live.step = epoch.number
            live.log_metric("loss", epoch.loss)
            live.log_metric("accuracy", epoch.test_accuracy)
            live.next_step()
            tf.summary.scalar("test accuracy", epoch.test_accuracy, step=epoch.number)
            print(
                f"epoch {epoch.number:2}/{params.epochs}  loss {epoch.loss:.4f}  "
                f"test accuracy {100 * epoch.test_accuracy:.2f} %",
                flush=True,
            )

        for epoch in train(data, params):
            log(epoch)
        network = epoch.network  # there is one: params has 1 epoch or more
        tf.summary.graph(tf.function(network.logits).get_concrete_function(data.x_test[:1]).graph)
        write_network(network, path)


if __name__ == "__main__":
    run(main)
