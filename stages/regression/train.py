"""Fit the model of one kind of noise to the points by maximum likelihood.

In: points.csv, of which x and y (N = 100 points) are used. Out: the weights (npz, see stages.regression.models) and a
folder of curves, metrics.json and plots/metrics/*.tsv: the mean negative log-likelihood of the training points at each
epoch, in nats. Beside them, as no output, TensorBoard's log.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.board import board
from stages.command import run
from stages.errors import UserError
from stages.params import STRICT_KEYS, load
from stages.progress import progress
from stages.regression import models
from stages.regression.models import tf, tf_keras
from stages.regression.points import Noise, read_points

LOSS = "training_points_mean_nll"


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class TrainParams:
    """Section `regression.train`."""

    seed: Annotated[int, Field(ge=0)]
    """Of the order of the points in each epoch."""
    epochs: Annotated[int, Field(ge=1)]
    """Passes over all points."""
    batch: Annotated[int, Field(ge=1)]
    """Points a step; the last batch of an epoch may have fewer."""
    learning_rate: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    """Of Adam."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads; the bits of the results may depend on it."""


class Epoch(NamedTuple):
    """How one epoch went."""

    number: int  # from 1
    loss: float  # mean negative log-likelihood of the training points, nats
    model: Any  # as it is now: the next epoch changes it


def train(noise: Noise, points: pd.DataFrame, params: TrainParams) -> Iterator[Epoch]:
    """Fit the model; yield each epoch as it ends.

    Raises:
        UserError: the loss is no longer finite.
    """
    y = models.column(points["y"].to_numpy())
    model = models.build(noise)
    models.start_at_marginal(model, y)
    run_epoch = _epoch(model, models.column(points["x"].to_numpy()), y, params)
    generator = np.random.default_rng(params.seed)
    for number in range(1, params.epochs + 1):
        loss = float(run_epoch(generator.permutation(len(y))))
        if not math.isfinite(loss):
            raise UserError(
                f"{noise} noise: the loss is {loss} in epoch {number}; lower regression.train.learning_rate"
            )
        yield Epoch(number, loss, model)


def _epoch(model: Any, x: models.Singles, y: models.Singles, params: TrainParams) -> Callable[[Any], Any]:
    """A compiled pass over `x` and `y` (N, 1) in a given order (N,), which returns the mean loss on its way."""
    optimizer = tf_keras.optimizers.Adam(params.learning_rate, jit_compile=False)

    def run_epoch(order: Any) -> Any:
        total = 0.0
        for start in range(0, len(y), params.batch):
            rows = order[start : start + params.batch]
            with tf.GradientTape() as tape:
                nll = -tf.reduce_sum(models.log_prob(model, tf.gather(x, rows), tf.gather(y, rows)))
                # Divided by a full batch's points, so that the 4 left of 100 pull like 4 and not like 32. Else their
                # jitter leaves the line outside evaluate's tolerance on one draw of the points in seventy.
                loss = nll / params.batch
            weights = model.trainable_variables
            optimizer.apply_gradients(zip(tape.gradient(loss, weights), weights, strict=True))
            total += nll
        return total / len(y)

    return tf.function(run_epoch)  # type: ignore[no-any-return]


def main(noise: Noise, points: Path, *, model: Path, curves: Path) -> None:
    """Fit the model of NOISE to POINTS into the file MODEL; log curves to the folder CURVES.

    Parameters: regression.train of params.yaml. TensorBoard: runs/regression-train@NOISE.
    """
    from dvclive import Live

    params = load(TrainParams, "regression.train")
    table = read_points(points)
    models.prepare(params.threads)
    run_folder = board(f"regression-train@{noise}", "regression")
    with staged(model, curves, run_folder) as (model_partial, curves_partial, run_partial):
        writer = tf.summary.create_file_writer(str(run_partial))
        shown = progress(f"train, {noise} noise", params.epochs, "epoch")
        with (
            Live(str(curves_partial), dvcyaml=None, save_dvc_exp=False, report=None) as live,
            writer.as_default(),
            shown as bar,
        ):
            for epoch in train(noise, table, params):
                live.step = epoch.number
                live.log_metric(LOSS, epoch.loss)
                live.next_step()
                tf.summary.scalar(LOSS, epoch.loss, step=epoch.number)
                bar.add(1, f"loss {epoch.loss:.3f}")
        writer.close()
        models.save(epoch.model, model_partial)  # there is one: params has 1 epoch or more


if __name__ == "__main__":
    run(main)
