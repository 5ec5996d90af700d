"""The door of mnist-train trains what the stage trains, and says what is wrong with its parameters."""

from pathlib import Path

import pytest

from stages.errors import BadInput, BadParameters
from stages.mnist import search
from stages.mnist.digits import Digits
from stages.mnist.train import TrainParams, train

VALUES = {"seed": 1, "epochs": 2, "batches": 5, "batch": 20, "hidden": 8, "learning_rate": 0.01, "threads": 1}


def document(**changed: object) -> dict[str, object]:
    return {"mnist": {"train": VALUES | changed}}


def test_it_trains_what_the_stage_trains_to_the_bit(digits: Digits) -> None:
    theirs = [(epoch.loss, epoch.test_accuracy) for epoch in train(digits, TrainParams(**VALUES))]  # type: ignore[arg-type]
    ours = [(one["loss"], one["accuracy"]) for one in search.train(digits, document())]
    again = [(one["loss"], one["accuracy"]) for one in search.train(digits, document())]
    assert theirs == ours == again


def test_bad_parameters(digits: Digits) -> None:
    with pytest.raises(BadParameters, match=r"mnist\.train\.hidden is 0"):
        next(search.train(digits, document(hidden=0)))
    with pytest.raises(BadParameters, match=r"the loss is .* in epoch 1; lower learning_rate"):
        list(search.train(digits, document(learning_rate=1e30)))


def test_the_digits_are_where_the_graph_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(search, "prepare", lambda _: None)
    with pytest.raises(BadInput, match=r"data/mnist/digits\.npz: no such file; run dvc repro mnist-download"):
        search.load(document())
    assert set(search.LOADS) == {"mnist.train.threads"}
