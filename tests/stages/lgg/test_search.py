"""The door of lgg-train trains what the stage trains, and loads what the stage loads."""

from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from stages.errors import BadInput, BadParameters
from stages.lgg import search
from stages.lgg.train import Sets, TrainParams, train
from tests.stages.lgg.test_train import EVEN, TRAINING, VALIDATION, VALUES

DATA = Sets(TRAINING, EVEN, VALIDATION, {})


def document(**changes: object) -> dict[str, Any]:
    return {"lgg": {"train": VALUES | {"epochs": 2} | changes}}


def test_it_trains_what_the_stage_trains_to_the_bit() -> None:
    torch.use_deterministic_algorithms(True)
    parameters = TypeAdapter(TrainParams).validate_python(document()["lgg"]["train"])
    theirs = [dict(epoch.metrics) for epoch in train(TRAINING, EVEN, VALIDATION, parameters)]
    assert list(search.train(DATA, document())) == theirs
    assert list(search.train(DATA, document())) == theirs
    assert list(search.train(DATA, document(seed=2))) != theirs


def test_weights_to_start_from_that_are_not_there() -> None:
    start = {"weights": "nowhere.pt", "layers": "all", "rate": 0.1}
    with pytest.raises(BadInput, match=r"nowhere\.pt: no such file"):
        next(search.train(DATA, document(start=start)))


def test_bad_parameters_and_data_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search, "make_exact", lambda *_, **__: None)
    with pytest.raises(BadParameters, match=r"lgg\.train\.batch is 0"):
        search.load(document(batch=0))
    with pytest.raises(BadInput, match=r"data/lgg/slices\.csv: no such file"):
        search.load(document())
    names = ("threads", "precision", "scaling", "network.depth", "network.norm")
    assert set(search.LOADS) == {f"lgg.train.{name}" for name in names}
