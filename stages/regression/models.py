"""The two models of noisy points on a line: Keras models whose output is a distribution.

constant   Dense(1) → Normal(h₀, 1)
growing    Dense(2) → Normal(h₀, 1e-3 + softplus(0.3·h₁))

`model(x)` has `.sample()`, `.mean()`, `.stddev()` and `.log_prob(y)`. Shapes: N points, H heads (1 or 2); x and y
are float32 (N, 1), and so is all that comes out. On disk, an npz of `kernel` (1, H) and `bias` (H,), float32.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.quiet import silence
from stages.regression.bayes import Floats, Line
from stages.regression.points import Noise

with silence():
    import tensorflow as tf
    import tensorflow_probability as tfp
    import tf_keras

__all__ = [
    "Singles", "build", "column", "line", "log_prob", "predict", "prepare", "restore", "save", "start_at_marginal",
    "tf", "tf_keras",
]  # fmt: skip

HEADS: dict[Noise, int] = {"constant": 1, "growing": 2}
LEAST_SIGMA = 1e-3
STEEPNESS = 0.3  # of σ in the second head

Singles = NDArray[np.float32]


def prepare(threads: int) -> None:
    """Compute on `threads` threads of the CPU, the same bits each time; for a process that has computed nothing yet."""
    tf.config.set_visible_devices([], "GPU")
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.config.experimental.enable_op_determinism()


def build(noise: Noise) -> Any:
    """The untrained model. Its weights are zero: a random kernel would start some of the fits far off."""
    layers = [
        tf_keras.Input((1,)),
        tf_keras.layers.Dense(HEADS[noise], kernel_initializer="zeros"),
        # Where a tensor is wanted the distribution stands for its mean, which takes no random draw.
        tfp.layers.DistributionLambda(_distribution, convert_to_tensor_fn=tfp.distributions.Distribution.mean),
    ]
    return tf_keras.Sequential(layers)


def start_at_marginal(model: Any, y: Singles) -> None:
    """Set the bias to the mean and standard deviation of `y` (N, 1): the best fit while the kernel is zero.

    From a zero bias, σ has yet to arrive after 500 epochs at a learning rate of 0.05: on one draw of the points in
    twelve the growing model then still loses to least squares.
    """
    kernel, bias = model.get_weights()
    above = max(float(y.std()) - LEAST_SIGMA, LEAST_SIGMA)
    inverse_softplus = above + np.log(-np.expm1(-above))
    start = np.array([y.mean(), inverse_softplus / STEEPNESS], dtype=np.float32)
    model.set_weights([kernel, start[: len(bias)]])


def log_prob(model: Any, x: Any, y: Any) -> Any:
    """ln p(y | x) of each point (N, 1), in nats."""
    result = model(x).log_prob(y)
    assert result.shape == x.shape == y.shape, "a flat y would be broadcast to N × N"
    return result


def predict(model: Any, x: Floats) -> tuple[Floats, Floats]:
    """The mean and standard deviation (N,) of y at `x` (N,)."""
    distribution = model(column(x))
    mean, sigma = (np.asarray(part, dtype=np.float64) for part in (distribution.mean(), distribution.stddev()))
    return mean[:, 0], sigma[:, 0]


def line(model: Any) -> Line:
    """The line that the mean follows."""
    kernel, bias = model.get_weights()
    return Line(float(kernel[0, 0]), float(bias[0]))


def column(values: Floats) -> Singles:
    """`values` (N,) as the models take them, (N, 1)."""
    return values.astype(np.float32)[:, None]


def save(model: Any, path: Path) -> None:
    """Write the weights, uncompressed: the same weights are the same bytes."""
    kernel, bias = model.get_weights()
    with path.open("wb") as file:  # given a path, numpy would add a suffix to one that has none
        np.savez(file, kernel=kernel, bias=bias)


def restore(noise: Noise, path: Path) -> Any:
    """The model of `noise` with the weights of `path`.

    Raises:
        BadInput: no such file, no weights in it, or those of the other model.
    """
    model = build(noise)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as weights:
            model.set_weights([weights["kernel"], weights["bias"]])
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro") from None
    except (AttributeError, EOFError, KeyError, TypeError, ValueError, zipfile.BadZipFile):
        raise BadInput(f"{path}: does not hold the weights of the model of {noise} noise; run dvc repro") from None
    return model


def _distribution(heads: Any) -> Any:
    # `heads[:, 0]` would lose the axis, and log_prob would broadcast (N,) against (N, 1) to N × N.
    mean = heads[:, :1]  # (N, 1)
    if heads.shape[-1] == HEADS["constant"]:
        return tfp.distributions.Normal(mean, 1.0)
    return tfp.distributions.Normal(mean, LEAST_SIGMA + tf.math.softplus(STEEPNESS * heads[:, 1:]))
