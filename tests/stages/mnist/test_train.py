"""Training: the arithmetic of a step, equal bits, what the figures come to, and the command."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.board import board
from stages.errors import BadParameters
from stages.mnist.digits import Digits, write_digits
from stages.mnist.download import download
from stages.mnist.network import Network, initial, read_network, tf
from stages.mnist.train import Epoch, TrainParams, train
from stages.params import load
from tests.stages.mnist.conftest import PARAMS, Start

PARAMETERS = {"seed": 1, "epochs": 2, "batches": 10, "batch": 20, "hidden": 16, "learning_rate": 0.01, "threads": 1}


def params(**changed: float) -> TrainParams:
    return TrainParams(**(PARAMETERS | changed))  # type: ignore[arg-type]


def run(digits: Digits, parameters: TrainParams) -> tuple[Network, list[Epoch]]:
    epochs = list(train(digits, parameters))
    return epochs[-1].network, epochs


def values(network: Network) -> list[NDArray[np.float32]]:
    return [variable.numpy() for variable in network.variables.values()]


def test_one_step_by_hand(digits: Digits) -> None:
    trained, [epoch] = run(digits, params(epochs=1, batches=1))
    generator = np.random.default_rng(1)
    first = initial(16, generator)
    rows = generator.integers(200, size=20)
    logits = first.logits(digits.x_train[rows]).numpy().astype(float)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = digits.y_train[rows]
    assert epoch.loss == pytest.approx(-np.log(probabilities[np.arange(20), labels]).mean(), rel=1e-5)
    slope = (probabilities - np.eye(10)[labels]).mean(axis=0)  # of the loss by the output's biases
    moved = trained.output_biases.numpy() - first.output_biases.numpy()
    assert moved == pytest.approx(-0.01 * slope / (abs(slope) + 1e-7), rel=1e-3)  # Adam's first step


def test_epochs_are_told_as_they_end(digits: Digits) -> None:
    network, epochs = run(digits, params(epochs=3))
    assert [epoch.number for epoch in epochs] == [1, 2, 3]
    right = network.logits(digits.x_test).numpy().argmax(axis=1) == digits.y_test
    assert epochs[-1].test_accuracy == right.mean()


def test_the_loss_is_the_mean_over_steps(digits: Digits) -> None:
    standing_still = params(epochs=1, learning_rate=1e-12)
    network, [epoch] = run(digits, standing_still)
    generator = np.random.default_rng(1)
    initial(16, generator)
    rows = generator.integers(200, size=(10, 20)).ravel()
    logits = network.logits(digits.x_train[rows]).numpy().astype(float)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(200), digits.y_train[rows]]
    assert epoch.loss == pytest.approx(losses.mean(), rel=1e-5)


def test_a_seed_settles_every_bit(digits: Digits) -> None:
    (network, epochs), (same, same_epochs), (other, _) = (run(digits, params(seed=seed)) for seed in (1, 1, 2))
    assert [epoch[:3] for epoch in epochs] == [epoch[:3] for epoch in same_epochs]
    assert all(np.array_equal(*pair) for pair in zip(values(network), values(same), strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(values(network), values(other), strict=True))


def test_a_loss_that_is_no_number_ends_training(digits: Digits) -> None:
    with pytest.raises(BadParameters, match=r"mnist.train: the loss is (nan|inf) in epoch 1; lower learning_rate"):
        run(digits, params(learning_rate=1e30))


def test_the_sample_is_neither_easy_nor_hopeless() -> None:
    _, epochs = run(download("sample"), params(epochs=10, batches=60, batch=100, hidden=300, learning_rate=0.001))
    accuracies = [epoch.test_accuracy for epoch in epochs]
    assert accuracies[0] < 0.95
    assert accuracies[-1] > 0.97
    assert sorted(epochs, key=lambda epoch: -epoch.loss) == epochs


@pytest.mark.skipif("GLIAFLOW_MNIST" not in os.environ, reason="GLIAFLOW_MNIST names no folder of MNIST's files")
def test_mnist_is_learnt_as_well_as_its_source_says() -> None:
    mnist = download(os.environ["GLIAFLOW_MNIST"])
    _, epochs = run(mnist, params(epochs=10, batches=600, batch=100, hidden=300, learning_rate=0.001))
    assert epochs[0].test_accuracy > 0.93
    assert epochs[-1].test_accuracy > 0.975
    assert sorted(epochs, key=lambda epoch: -epoch.loss) == epochs


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ("epochs: 0", "mnist.train.epochs is 0"),
        ("batch: 2.5", "mnist.train.batch is 2.5"),
        ("learning_rate: 0", "mnist.train.learning_rate is 0"),
        ("learning_rate: .inf", "mnist.train.learning_rate is inf"),
        ("learning_rat: 0.1", "mnist.train.learning_rat is not a known parameter"),
    ],
)
def test_bad_parameters_are_refused(changed: str, message: str, tmp_path: Path) -> None:
    text = PARAMS.replace("threads: 1", f"threads: 1, {changed}")
    name = changed.split(":")[0]
    if name in PARAMETERS:
        text = PARAMS.replace(f"{name}: {PARAMETERS[name]}", changed)
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(BadParameters, match=message):
        load(TrainParams, "mnist.train", tmp_path / "params.yaml")


COMMAND = ("-m", "stages.mnist.train", "digits.npz", "--model", "network.npz", "--curves", "curves")


def test_the_command(start: Start, digits: Digits, tmp_path: Path) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
        write_digits(digits, folder / "digits.npz")
        (folder / "params.yaml").write_text(PARAMS)
    earlier = folders[0] / board("mnist-train", "mnist", folders[0] / "params.yaml")
    earlier.mkdir(parents=True)
    (earlier / "curves of an earlier training").touch()
    processes = [start(*COMMAND, folder=folder) for folder in folders]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    lines, errors = outputs[0]
    assert errors == ""
    assert [line.split(" ")[1:3] for line in lines.splitlines()] == [["", "1/2"], ["", "2/2"]]

    for name in (
        "network.npz",
        "curves/metrics.json",
        *(f"curves/plots/metrics/{n}.tsv" for n in ("loss", "accuracy")),
    ):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()
    metrics = json.loads((folders[0] / "curves" / "metrics.json").read_text())
    assert metrics.keys() == {"accuracy", "loss", "step"}
    assert lines.splitlines()[1].endswith(
        f"loss {metrics['loss']:.4f}  test accuracy {100 * metrics['accuracy']:.2f} %"
    )
    tsv = (folders[0] / "curves" / "plots" / "metrics" / "accuracy.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in tsv] == ["step", "1", "2"]
    right = read_network(folders[0] / "network.npz").logits(digits.x_test).numpy().argmax(axis=1) == digits.y_test
    assert metrics["accuracy"] == right.mean()

    [run_folder] = (folders[0] / "runs" / "mnist-train").iterdir()
    assert [path.name.split(".")[0] for path in run_folder.iterdir()] == ["events"]
    records = tf.data.TFRecordDataset([str(path) for path in run_folder.iterdir()])
    events = [tf.compat.v1.Event.FromString(record.numpy()) for record in records]
    logged = {event.step: tf.make_ndarray(value.tensor).item() for event in events for value in event.summary.value}
    assert logged == {1: pytest.approx(float(tsv[1].split("\t")[1])), 2: pytest.approx(metrics["accuracy"])}
    [graph] = [tf.compat.v1.GraphDef.FromString(event.graph_def) for event in events if event.graph_def]
    assert {"pixels", "hidden", "output"} <= {node.name.split("/")[0] for node in graph.node}


def test_the_command_fails_with_one_line_and_no_output(start: Start, digits: Digits, tmp_path: Path) -> None:
    write_digits(digits, tmp_path / "digits.npz")
    process = start(*COMMAND, params=PARAMS.replace("learning_rate: 0.01", "learning_rate: 1e30"))
    _, errors = process.communicate()
    assert process.returncode == 2
    assert re.fullmatch(r"error: mnist\.train: the loss is (nan|inf) in epoch 1; lower learning_rate\n", errors)
    assert not list(tmp_path.glob("*network.npz"))
