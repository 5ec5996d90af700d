"""Teach the trained network to read turned digits from few labels, beside networks that start from scratch.

It answers: can one insert layers into a trained model, and regularise those that were there?
stages.mnist.pretrained.surgery does.

Inputs:  data/mnist/digits.npz (x_train, x_test N 28 28 uint8; y_train, y_test N uint8), models/mnist/network.npz
Outputs: transfer.csv, a row for each seed and arm (test_accuracy a fraction, test_mean_cross_entropy nats);
         transfer.json, their means and differences with 95 % intervals; transfer.png

Arms: `scratch` starts from first weights, `transfer` from the trained ones. An `altered` arm has dropout and a dense
layer that starts as the identity between hidden and output, and L2 on the kernels of these two. `transfer-frozen` is
altered too, and some of its layers do not train. `untuned` is the trained network as it is. All arms of a seed see the
same images in the same order.
"""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadParameters
from stages.mnist.digits import Digits, read_digits
from stages.mnist.network import Network, initial, prepare, read_network
from stages.mnist.pretrained.comparison import draw, summary
from stages.mnist.pretrained.copies import Model, keras
from stages.mnist.pretrained.surgery import freeze, identity_dense, insert, regularise
from stages.mnist.pretrained.tuning import as_keras, fine_tune, score
from stages.mnist.pretrained.turned import few, turn
from stages.params import STRICT_KEYS, load
from stages.seeds import Seeds

UNTUNED = "untuned"
PAIRS = (  # each differs in one thing
    ("transfer", "scratch"),
    ("transfer", UNTUNED),
    ("transfer-altered", "scratch-altered"),
    ("scratch-altered", "scratch"),
    ("transfer-altered", "transfer"),
    ("transfer-frozen", "transfer-altered"),
)


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class TransferParams:
    """Parameters of mnist.transfer."""

    seeds: Seeds
    """A run of every arm each: it settles which digits have labels, first weights, batches and what dropout drops."""
    degrees: Annotated[float, Field(ge=-180, le=180)]
    """By which images are turned, anticlockwise."""
    labels: Annotated[int, Field(ge=1)]
    """Training images of each digit."""
    steps: Annotated[int, Field(ge=1)]
    batch: Annotated[int, Field(ge=1)]
    """Images a step, drawn with replacement."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Adam's; all else of Adam is at its defaults."""
    dropout: Annotated[float, Field(ge=0, lt=1)]
    """Probability, of the inserted dropout."""
    l2: Annotated[float, Field(ge=0)]
    """What the loss has for each unit of the sum of squares of a kernel."""
    frozen: tuple[str, ...]
    """Layers of transfer-frozen that do not train: hidden, dropout, inserted, output."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads; the bits of the results may depend on it."""


class Row(NamedTuple):
    """What an arm came to with one seed."""

    seed: int
    arm: str
    test_accuracy: float
    test_mean_cross_entropy: float


def compare(digits: Digits, network: Network, params: TransferParams) -> Iterator[Row]:
    """Train and score all arms, seed by seed.

    Raises:
        BadParameters: too few training images of a digit, layers that cannot be frozen, or a loss that is no number.
    """
    x_test = turn(digits.x_test, params.degrees)
    for seed in params.seeds:
        generator = np.random.default_rng(seed)
        rows = few(digits.y_train, params.labels, generator)
        x_train, y_train = turn(digits.x_train[rows], params.degrees), digits.y_train[rows]
        steps = generator.integers(len(rows), size=(params.steps, params.batch))
        first = initial(network.hidden_biases.shape[0], generator)
        for arm, model in arms(network, first, params, seed).items():
            loss = 0.0 if arm == UNTUNED else fine_tune(model, x_train, y_train, steps, params.learning_rate)
            if not math.isfinite(loss):
                raise BadParameters(f"mnist.transfer: the loss of {arm} is {loss}; lower learning_rate")
            yield Row(seed, arm, *score(model, x_test, digits.y_test))


def arms(trained: Network, first: Network, params: TransferParams, seed: int) -> dict[str, Model]:
    """The model of each arm, before it is tuned; no two share weights.

    Raises:
        BadParameters: a layer to freeze is not there, or none is left to train.
    """
    scratch, transfer = as_keras(first), as_keras(trained)
    altered = alter(transfer, params, seed)
    try:
        frozen = freeze(altered, layers=params.frozen)
    except ValueError as error:
        raise BadParameters(f"mnist.transfer.frozen: {error}") from None
    if not frozen.trainable_variables:
        raise BadParameters(f"mnist.transfer.frozen is {', '.join(params.frozen)}: no layer is left to train")
    return {
        UNTUNED: as_keras(trained),
        "scratch": scratch,
        "scratch-altered": alter(scratch, params, seed),
        "transfer": transfer,
        "transfer-altered": altered,
        "transfer-frozen": frozen,
    }


def alter(model: Model, params: TransferParams, seed: int) -> Model:
    """A copy of `model` with dropout and a dense layer after `hidden`, and L2 on what was there; same outputs."""
    regularised = regularise(model, keras.regularizers.L2(params.l2), layers=["hidden", "output"])
    inserted = [
        keras.layers.Dropout(params.dropout, seed=seed, name="dropout"),
        identity_dense(model.get_layer("hidden").units, activation="relu", name="inserted"),  # after ReLU: exact
    ]
    return insert(regularised, inserted, after="hidden")


def main(digits: Path, network: Path, *, table: Path, metrics: Path, figure: Path) -> None:
    """Tune NETWORK on turned DIGITS into the files TABLE, METRICS and FIGURE.

    Parameters: mnist.transfer of params.yaml.
    """
    params = load(TransferParams, "mnist.transfer")
    data = read_digits(digits)
    prepare(params.threads)
    trained = read_network(network)
    rows = []
    for row in compare(data, trained, params):
        rows.append(row)
        print(f"seed {row.seed}  {row.arm:16}  test accuracy {100 * row.test_accuracy:.2f} %", flush=True)
    results = pd.DataFrame(rows)
    found = summary(results, PAIRS)
    with staged(table, metrics, figure) as (table_partial, metrics_partial, figure_partial):
        results.to_csv(table_partial, index=False, lineterminator="\n")
        metrics_partial.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        draw(results, PAIRS, figure_partial)


if __name__ == "__main__":
    run(main)
