"""The metrics against tables worked by hand, and the command with its figures."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from stages.mnist.digits import Digits, write_digits
from stages.mnist.evaluate import _wilson, evaluate, log_softmax
from stages.mnist.figures import draw_confusion
from stages.mnist.network import initial, write_network
from tests.stages.mnist.conftest import Start


def logits(*rows: dict[int, float]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """Logits whose softmax gives these probabilities; what a row leaves is shared by the other classes."""
    table = np.empty((len(rows), 10))
    for probabilities, row in zip(rows, table, strict=True):
        row[:] = (1 - sum(probabilities.values())) / (10 - len(probabilities))
        for digit, probability in probabilities.items():
            row[digit] = probability
    return np.log(table) + 5


def test_metrics_by_hand() -> None:
    #                         right          right          wrong         wrong (bin of 0.8 to 0.8667)
    table = logits({0: 0.95, 1: 0.02}, {1: 0.96}, {2: 0.5, 1: 0.3}, {9: 0.85, 3: 0.1})
    metrics = evaluate(table, np.array([0, 1, 1, 3], np.uint8))
    low, high = metrics.pop("test_accuracy_95_low"), metrics.pop("test_accuracy_95_high")
    assert (low, high) == pytest.approx((0.15004, 0.84996), abs=1e-5)
    recall = metrics.pop("test_recall")
    assert recall == {"0": 1.0, "1": 0.5, "3": 0.0} | dict.fromkeys("2456789")
    assert metrics == pytest.approx(
        {
            "test_images": 4,
            "test_errors": 2,
            "test_accuracy": 0.5,
            "test_mean_cross_entropy": -math.log(0.95 * 0.96 * 0.3 * 0.1) / 4,
            "test_expected_calibration_error_15_bins": (2 * 0.045 + 0.5 + 0.85) / 4,
        }
    )


def test_one_bin_weighs_right_against_wrong() -> None:
    metrics = evaluate(logits({0: 0.5}, {0: 0.5}, {0: 0.5}, {0: 0.5}), np.array([0, 0, 1, 1], np.uint8))
    assert metrics["test_expected_calibration_error_15_bins"] == pytest.approx(0)


def test_certainty_falls_into_the_last_bin() -> None:
    certain = np.zeros((2, 10))
    certain[:, 4] = 1000
    metrics = evaluate(certain, np.array([4, 4], np.uint8))
    assert metrics["test_expected_calibration_error_15_bins"] == 0
    assert metrics["test_mean_cross_entropy"] == 0


@pytest.mark.parametrize(
    ("right", "total", "interval"),
    [(8, 10, (0.49016, 0.94332)), (0, 20, (0, 0.16113)), (20, 20, (0.83887, 1)), (9786, 10_000, (0.97557, 0.98126))],
)
def test_wilson_by_table(right: int, total: int, interval: tuple[float, float]) -> None:
    assert _wilson(right, total) == pytest.approx(interval, abs=1e-5)


@given(st.integers(1, 10_000).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_wilson_holds_the_proportion(counts: tuple[int, int]) -> None:
    low, high = _wilson(*counts)
    assert -1e-12 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1 + 1e-12


@given(arrays(float, (3, 10), elements=st.floats(-1e4, 1e4)), st.floats(-1e4, 1e4))
def test_log_softmax_sums_to_one_wherever_it_stands(
    table: np.ndarray[tuple[int, int], np.dtype[np.float64]], by: float
) -> None:
    assert np.exp(log_softmax(table)).sum(axis=1) == pytest.approx(1)
    assert log_softmax(table + by) == pytest.approx(log_softmax(table), abs=1e-6)


def test_the_command(start: Start, digits: Digits, tmp_path: Path) -> None:
    write_digits(digits, tmp_path / "digits.npz")
    network = initial(16, np.random.default_rng(0))
    write_network(network, tmp_path / "network.npz")
    outputs = ("--metrics", "evaluate.json", "--figures", "figures")
    process = start("-m", "stages.mnist.evaluate", "digits.npz", "network.npz", *outputs)
    assert (process.communicate(), process.returncode) == (("", ""), 0)

    text = (tmp_path / "evaluate.json").read_text()
    metrics = json.loads(text)
    table = network.logits(digits.x_test).numpy().astype(float)
    assert metrics == {name: pytest.approx(value) for name, value in evaluate(table, digits.y_test).items()}
    assert text == json.dumps(metrics, indent=2, sort_keys=True) + "\n"
    draw_confusion(digits.y_test, table.argmax(axis=1), tmp_path / "again.png")
    figures = sorted((tmp_path / "figures").iterdir())
    assert [figure.name for figure in figures] == ["confusion.png", "most_wrong.png"]
    assert figures[0].read_bytes() == (tmp_path / "again.png").read_bytes()
    assert b"matplotlib" not in figures[0].read_bytes()
