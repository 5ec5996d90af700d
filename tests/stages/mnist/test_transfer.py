"""The arms: what they start from, what they share and what not; the comparison; and the command."""

import json
import re
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from stages.errors import BadParameters
from stages.mnist.digits import Digits, write_digits
from stages.mnist.network import Network, initial, write_network
from stages.mnist.pretrained.copies import layers_of
from stages.mnist.pretrained.tuning import as_keras, score
from stages.mnist.pretrained.turned import turn
from stages.mnist.transfer import PAIRS, Row, TransferParams, alter, arms, compare
from stages.params import load
from tests.stages.mnist.conftest import Start

NAMES = ["untuned", "scratch", "scratch-altered", "transfer", "transfer-altered", "transfer-frozen"]
PARAMETERS: dict[str, Any] = {
    "seeds": [1, 2, 3], "degrees": 20, "labels": 2, "steps": 3, "batch": 5, "learning_rate": 0.01, "dropout": 0.5,
    "l2": 0.25, "frozen": ["hidden"], "threads": 1,
}  # fmt: skip


def params(**changed: Any) -> TransferParams:
    given = PARAMETERS | changed
    return TransferParams(**given | {"seeds": tuple(given["seeds"]), "frozen": tuple(given["frozen"])})


@pytest.fixture
def networks() -> tuple[Network, Network]:
    """A trained network, or so; and one of first weights."""
    generator = np.random.default_rng(3)
    return initial(16, generator), initial(16, generator)


def test_altering_changes_no_output(networks: tuple[Network, Network], digits: Digits) -> None:
    model = as_keras(networks[0])
    altered = alter(model, params(), seed=1)
    assert abs(altered(digits.x_test) - model(digits.x_test)).numpy().max() <= 1e-6
    names = [name for name in layers_of(altered) if name in ("hidden", "dropout", "inserted", "output")]
    assert names == ["hidden", "dropout", "inserted", "output"]
    assert altered.get_layer("inserted").units == 16


def test_each_arm_starts_from_what_its_name_says(networks: tuple[Network, Network], digits: Digits) -> None:
    trained, first = networks
    models = arms(trained, first, params(), seed=1)
    assert list(models) == NAMES
    for name, model in models.items():
        network = first if name.startswith("scratch") else trained
        assert abs(model(digits.x_test) - network.logits(digits.x_test)).numpy().max() <= 1e-6
        altered = name.endswith(("altered", "frozen"))
        kernels = (
            [network.output_weights] if name.endswith("frozen") else [network.hidden_weights, network.output_weights]
        )
        squares = sum(float((kernel.numpy().astype(float) ** 2).sum()) for kernel in kernels)
        assert float(sum(model.losses)) == pytest.approx(0.25 * squares if altered else 0, rel=1e-5)
        assert len(model.weights) == (6 if altered else 4)
    frozen = {name: [one.name for one in model.layers if not one.trainable] for name, model in models.items()}
    assert frozen == {name: [] for name in NAMES} | {"transfer-frozen": ["hidden"]}


def test_no_two_arms_share_weights(networks: tuple[Network, Network]) -> None:
    weights = [id(weight) for model in arms(*networks, params(), seed=1).values() for weight in model.weights]
    assert len(set(weights)) == len(weights) == 3 * 4 + 3 * 6


def test_what_is_dropped_is_the_seeds(networks: tuple[Network, Network], digits: Digits) -> None:
    def dropped(seed: int, arm: str = "transfer-altered") -> Any:
        return arms(*networks, params(), seed)[arm](digits.x_test, training=True).numpy()

    assert np.array_equal(dropped(1), dropped(1))
    assert np.array_equal(dropped(1), dropped(1, "transfer-frozen"))
    assert not np.array_equal(dropped(1), dropped(2))


@pytest.mark.parametrize(
    ("frozen", "message"),
    [
        (["hiden"], r"^mnist.transfer.frozen: there is no layer hiden; there are .*hidden.*dropout.*inserted.*output$"),
        (["hidden", "inserted", "output"], r"^mnist.transfer.frozen is hidden, inserted, output: no layer is left to"),
    ],
)
def test_what_cannot_be_frozen_is_refused(frozen: list[str], message: str, networks: tuple[Network, Network]) -> None:
    with pytest.raises(BadParameters, match=message):
        arms(*networks, params(frozen=frozen), seed=1)


def rows(digits: Digits, network: Network, first: int = 1, **changed: Any) -> list[Row]:
    """Of the `first` seeds only."""
    return list(islice(compare(digits, network, params(**changed)), first * len(NAMES)))


def test_a_row_for_each_seed_and_arm_of_which_other_seeds_change_nothing(
    networks: tuple[Network, Network], digits: Digits
) -> None:
    found, other = rows(digits, networks[0], first=2), rows(digits, networks[0], seeds=(2, 5, 1))
    assert [(row.seed, row.arm) for row in found] == [(seed, arm) for seed in (1, 2) for arm in NAMES]
    assert found[len(NAMES) :] == other
    untuned = score(as_keras(networks[0]), turn(digits.x_test, 20), digits.y_test)
    assert {row[2:] for row in found if row.arm == "untuned"} == {untuned}
    assert len({row.test_mean_cross_entropy for row in found}) == len(found) - 1


def test_after_steps_of_no_length_arms_differ_by_their_first_weights_only(
    networks: tuple[Network, Network], digits: Digits
) -> None:
    found = {row.arm: row.test_mean_cross_entropy for row in rows(digits, networks[0], learning_rate=1e-12)}
    for arm in ("transfer", "transfer-altered", "transfer-frozen"):
        assert found[arm] == pytest.approx(found["untuned"], rel=1e-5)
    assert found["scratch-altered"] == pytest.approx(found["scratch"], rel=1e-5)
    assert found["scratch"] != pytest.approx(found["untuned"], rel=1e-2)


def test_tuning_learns_the_digits_that_have_labels(networks: tuple[Network, Network], digits: Digits) -> None:
    """Scored on the very images that it is tuned on, which are turned far."""
    same = Digits(x_train=digits.x_test, y_train=digits.y_test, x_test=digits.x_test, y_test=digits.y_test)
    untuned, *tuned = rows(same, networks[0], degrees=90, labels=10, steps=100, batch=20, dropout=0.0, l2=1e-4)
    *whole, frozen = (row.test_accuracy for row in tuned)
    assert untuned.test_accuracy < 0.2 < frozen < min(whole)
    assert min(whole) > 0.5


def test_a_loss_that_is_no_number_ends_it(networks: tuple[Network, Network], digits: Digits) -> None:
    message = r"^mnist.transfer: the loss of scratch is (nan|inf); lower learning_rate$"
    with pytest.raises(BadParameters, match=message):
        rows(digits, networks[0], learning_rate=1e30)


def text(**changed: Any) -> str:
    return json.dumps({"mnist": {"transfer": PARAMETERS | changed}})  # which is YAML


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"seeds": [1, 2]}, "mnist.transfer.seeds is "),
        ({"seeds": [1, 2, 2]}, "mnist.transfer.seeds is .*: a seed stands in it twice"),
        ({"seeds": [1, 2, -3]}, "mnist.transfer.seeds.2 is -3"),
        ({"seeds": [1, 2, 2**32]}, "mnist.transfer.seeds.2 is 4294967296"),
        ({"degrees": 181}, "mnist.transfer.degrees is 181"),
        ({"labels": 0}, "mnist.transfer.labels is 0"),
        ({"dropout": 1}, "mnist.transfer.dropout is 1"),
        ({"l2": -1}, "mnist.transfer.l2 is -1"),
        ({"frozen": "hidden"}, "mnist.transfer.frozen is 'hidden'"),
        ({"step": 3}, "mnist.transfer.step is not a known parameter"),
    ],
)
def test_bad_parameters_are_refused(changed: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(text(**changed))
    with pytest.raises(BadParameters, match=message):
        load(TransferParams, "mnist.transfer", tmp_path / "params.yaml")


COMMAND = (
    "-m", "stages.mnist.transfer", "digits.npz", "network.npz", "--table", "t.csv", "--metrics", "t.json", "--figure",
    "t.png",
)  # fmt: skip
Prepare = Callable[[Path], Path]


@pytest.fixture
def prepared(networks: tuple[Network, Network], digits: Digits) -> Prepare:
    """Puts the inputs into a folder."""

    def prepare(folder: Path) -> Path:
        folder.mkdir(exist_ok=True)
        write_digits(digits, folder / "digits.npz")
        write_network(networks[0], folder / "network.npz")
        return folder

    return prepare


def test_the_command(start: Start, prepared: Prepare, tmp_path: Path) -> None:
    folders = [prepared(tmp_path / name) for name in "ab"]
    processes = [start(*COMMAND, folder=folder, params=text()) for folder in folders]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert outputs[0] == outputs[1]
    lines, errors = outputs[0]
    assert errors == ""
    for name in ("t.csv", "t.json", "t.png"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes()

    table = pd.read_csv(folders[0] / "t.csv")
    assert list(table.columns) == ["seed", "arm", "test_accuracy", "test_mean_cross_entropy"]
    assert list(zip(table.seed, table.arm, strict=True)) == [(seed, arm) for seed in (1, 2, 3) for arm in NAMES]
    for line, row in zip(lines.splitlines(), table.itertuples(), strict=True):
        assert re.split("  +", line) == [
            f"seed {row.seed}", row.arm, f"test accuracy {100 * float(str(row.test_accuracy)):.2f} %"
        ]  # fmt: skip
    metrics = json.loads((folders[0] / "t.json").read_text())
    means = table.groupby("arm").test_accuracy.mean()
    assert {arm: found["mean"] for arm, found in metrics["test_accuracy"].items()} == pytest.approx(means.to_dict())
    assert list(metrics["test_accuracy_difference"]) == [f"{one} minus {other}" for one, other in PAIRS]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frozen": ["hiden"]}, r"error: mnist.transfer.frozen: there is no layer hiden; .*\n"),
        ({"labels": 21}, r"error: mnist.transfer.labels is 21; there are 20 training images of 0\n"),
    ],
)
def test_the_command_fails_with_one_line_and_no_output(
    changed: dict[str, Any], message: str, start: Start, prepared: Prepare, tmp_path: Path
) -> None:
    process = start(*COMMAND, folder=prepared(tmp_path), params=text(**changed))
    _, errors = process.communicate()
    assert process.returncode == 2
    assert re.fullmatch(message, errors)
    assert not list(tmp_path.glob("*t.*"))
