"""The network's first values, its arithmetic, and its file."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.mnist.digits import read_arrays, write_arrays
from stages.mnist.network import Network, initial, read_network, tf, write_network

NAMES = ["hidden_weights", "hidden_biases", "output_weights", "output_biases"]
Arrays = dict[str, NDArray[Any]]


def values(network: Network) -> list[NDArray[np.float32]]:
    return [variable.numpy() for variable in network.variables.values()]


def test_first_values_are_normal() -> None:
    hidden_weights, hidden_biases, output_weights, output_biases = values(initial(300, np.random.default_rng(0)))
    assert hidden_weights.shape == (784, 300)
    assert output_weights.shape == (300, 10)
    assert output_biases.shape == (10,)
    for sample, sd in ((hidden_weights, 0.03), (output_weights, 0.03), (hidden_biases, 1)):
        assert abs(sample.mean()) < 4 * sd / sample.size**0.5
        assert sample.std() == pytest.approx(sd, rel=4 / (2 * sample.size) ** 0.5)


def test_first_values_come_from_the_generator() -> None:
    first, same, other = (values(initial(8, np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert all(np.array_equal(*pair) for pair in zip(first, same, strict=True))
    assert not any(np.array_equal(*pair) for pair in zip(first, other, strict=True))


def test_logits_by_hand() -> None:
    hidden_weights = np.zeros((784, 2), np.float32)
    hidden_weights[0] = 2, -1  # the first pixel alone counts
    output_weights = np.zeros((2, 10), np.float32)
    output_weights[0, 3], output_weights[1, 3], output_weights[1, 4] = 1, 10, -1
    network = Network(
        *(tf.Variable(value) for value in (hidden_weights, [-0.4, 0.6], output_weights, np.arange(10, dtype="f")))
    )
    images = np.zeros((3, 28, 28), np.uint8)
    images[:, 0, 0] = 0, 51, 255  # 0, 0.2 and 1
    images[:, 5, 5] = 255
    logits = network.logits(images).numpy()
    assert logits[:, 3] == pytest.approx([3 + 0 + 6, 3 + 0 + 4, 3 + 1.6 + 0])  # hidden: (0, 0.6), (0, 0.4), (1.6, 0)
    assert logits[:, 4] == pytest.approx([3.4, 3.6, 4])
    assert np.delete(logits, [3, 4], axis=1).tolist() == 3 * [[0, 1, 2, 5, 6, 7, 8, 9]]


def test_what_is_written_is_read(tmp_path: Path) -> None:
    network = initial(5, np.random.default_rng(0))
    write_network(network, tmp_path / "a.npz")
    write_network(network, tmp_path / "b.npz")
    assert list(read_network(tmp_path / "a.npz").variables) == NAMES
    for one, other in zip(values(network), values(read_network(tmp_path / "a.npz")), strict=True):
        assert one.dtype == other.dtype == np.float32
        assert np.array_equal(one, other)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("hidden_weights"), f"not an npz archive with {', '.join(NAMES)}; run dvc repro mnist-train"),
        (lambda a: a.update(output_biases=np.zeros(10)), r"output_biases is float64 \(10,\), not float32 \(10,\)"),
        (lambda a: a.update(hidden_biases=np.zeros(4, "f")), r"hidden_weights is float32 \(784, 5\), not .*784, 4\)"),
        (lambda a: a.update(hidden_biases=np.zeros((5, 1), "f")), r"hidden_biases is float32 \(5, 1\), not .* \(5,\)"),
        (lambda a: a.update(output_weights=np.zeros((10, 5), "f")), r"output_weights is float32 \(10, 5\), not .*\(5"),
    ],
)
def test_another_network_is_refused(change: Callable[[Arrays], Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "network.npz"
    write_network(initial(5, np.random.default_rng(0)), path)
    arrays = read_arrays(path, NAMES, "mnist-train")
    change(arrays)
    write_arrays(arrays, path)
    with pytest.raises(BadInput, match=f"network.npz: {message}"):
        read_network(path)
