"""The door by which a search fits many models in one process: what `meta: {search: …}` of regression-train names.

DVC names the stage in DVC_STAGE, and the stage its noise. `load` gives the points; `train` yields, after each epoch,
`training_points_mean_nll` (nats), as the stage logs it.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pandas as pd

from stages.errors import UserError
from stages.params import parse
from stages.regression import models
from stages.regression import train as stage
from stages.regression.points import Noise, read_points

SECTION = "regression.train"
LOADS = ("regression.train.threads",)  # TensorFlow settles them once a process


class Data(NamedTuple):
    """What a model is fitted to."""

    noise: Noise
    points: pd.DataFrame


def load(params: Mapping[str, Any]) -> Data:
    """The points of the stage that DVC_STAGE names, from all of params.yaml.

    Raises:
        UserError: it names no stage of this kind; or as regression-train.
    """
    name = os.environ.get("DVC_STAGE", "")
    noise = next((one for one in get_args(Noise) if name.endswith(f"regression-train@{one}")), None)
    if noise is None:
        raise UserError(f"DVC_STAGE is '{name}'; a search is of regression-train@constant or regression-train@growing")
    models.prepare(parse(stage.TrainParams, SECTION, params).threads)
    return Data(noise, read_points(Path(f"data/regression/{noise}.csv")))  # as in dvc.yaml


def train(data: Data, params: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Fit a model as regression-train does; the metric of each epoch.

    Raises:
        BadParameters, UserError: as regression-train.
    """
    for epoch in stage.train(data.noise, data.points, parse(stage.TrainParams, SECTION, params)):
        yield {stage.LOSS: epoch.loss}
