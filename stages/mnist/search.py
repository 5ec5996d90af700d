"""The door by which a search trains many networks in one process: what `meta: {search: …}` of mnist-train names.

`load` gives the digits; they stay as long as the parameters in LOADS are the same. `train` yields, after each epoch,
`loss` (nats, mean over the images drawn) and `accuracy` (a fraction of the test images), as dvclive logs them.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.mnist import train as stage
from stages.mnist.digits import Digits, read_digits
from stages.mnist.network import prepare
from stages.params import parse

DIGITS = Path("data/mnist/digits.npz")  # as in dvc.yaml
LOADS = ("mnist.train.threads",)  # TensorFlow settles them once a process
SECTION = "mnist.train"


def load(params: Mapping[str, Any]) -> Digits:
    """The digits, from all of params.yaml.

    Raises:
        BadParameters, BadInput: as mnist-train.
    """
    prepare(parse(stage.TrainParams, SECTION, params).threads)
    return read_digits(DIGITS)


def train(data: Digits, params: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Train a network as mnist-train does; the metrics of each epoch.

    Raises:
        BadParameters: as mnist-train.
    """
    for epoch in stage.train(data, parse(stage.TrainParams, SECTION, params)):
        yield {"loss": epoch.loss, "accuracy": epoch.test_accuracy}
