"""The door of regression-train fits what the stage fits, and knows its noise from the name of the stage."""

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from stages.errors import BadInput, BadParameters, UserError
from stages.regression import models, search
from stages.regression.points import Noise, write_points
from stages.regression.train import LOSS, TrainParams, train

Draw = Callable[[Noise, int], pd.DataFrame]
VALUES = {"seed": 1, "epochs": 3, "batch": 32, "learning_rate": 0.05, "threads": 1}


def document(**changed: object) -> dict[str, object]:
    return {"regression": {"train": VALUES | changed}}


@pytest.mark.parametrize("noise", get_args(Noise))
def test_it_fits_what_the_stage_fits_to_the_bit(draw: Draw, noise: Noise) -> None:
    points = draw(noise, 1)
    theirs = [epoch.loss for epoch in train(noise, points, TrainParams(**VALUES))]  # type: ignore[arg-type]
    assert [one[LOSS] for one in search.train(search.Data(noise, points), document())] == theirs


def test_the_noise_is_that_of_the_stage(draw: Draw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(models, "prepare", lambda _: None)
    monkeypatch.setenv("DVC_STAGE", "regression-train@growing")
    with pytest.raises(BadInput, match=r"data/regression/growing\.csv: no such file"):
        search.load(document())
    Path("data/regression").mkdir(parents=True)
    write_points(draw("growing", 1), Path("data/regression/growing.csv"))
    found = search.load(document())
    assert (found.noise, len(found.points)) == ("growing", 100)
    for name in ("", "regression-train@other", "mnist-train"):
        monkeypatch.setenv("DVC_STAGE", name)
        with pytest.raises(UserError, match=f"DVC_STAGE is '{name}'"):
            search.load(document())


def test_bad_parameters(draw: Draw) -> None:
    with pytest.raises(BadParameters, match=r"regression\.train\.batch is 0"):
        next(search.train(search.Data("constant", draw("constant", 1)), document(batch=0)))
