"""Score the network on the test digits.

Inputs:  data/mnist/digits.npz (x_test N 28 28 uint8, y_test N uint8), models/mnist/network.npz
Outputs: results/mnist/evaluate.json; figures confusion.png and most_wrong.png

Shapes: N test images, 10 classes.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.atomic import staged
from stages.command import run
from stages.mnist.digits import CLASSES, Bytes, read_digits
from stages.mnist.network import prepare, read_network

Floats = NDArray[np.float64]
Z95 = 1.959963984540054  # of a normal distribution, 95 % lies within ± this many standard deviations
BINS = 15


def evaluate(logits: Floats, labels: Bytes) -> dict[str, Any]:
    """Metrics by name, from logits N 10 and labels N; None where a class does not occur."""
    log_probabilities = log_softmax(logits)
    predicted = logits.argmax(axis=1)
    right = predicted == labels
    confidence = np.exp(log_probabilities).max(axis=1)
    low, high = _wilson(int(right.sum()), len(labels))
    return {
        "test_images": len(labels),
        "test_errors": int((~right).sum()),
        "test_accuracy": float(right.mean()),
        "test_accuracy_95_low": low,
        "test_accuracy_95_high": high,
        "test_mean_cross_entropy": -float(log_probabilities[np.arange(len(labels)), labels].mean()),
        f"test_expected_calibration_error_{BINS}_bins": _calibration_error(confidence, right),
        "test_recall": {
            str(digit): float(right[labels == digit].mean()) if (labels == digit).any() else None
            for digit in range(CLASSES)
        },
    }


def log_softmax(logits: Floats) -> Floats:
    """Logits N 10 to the logarithms of probabilities, without overflow."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a proportion (Wilson 1927)."""
    proportion, spread = right / total, Z95**2 / total
    centre = proportion + spread / 2
    half = math.sqrt(proportion * (1 - proportion) * spread + spread**2 / 4)
    return (centre - half) / (1 + spread), (centre + half) / (1 + spread)


def _calibration_error(confidence: Floats, right: NDArray[np.bool_]) -> float:
    """Mean gap between confidence and accuracy over equal bins of confidence, weighted by their size (Guo 2017)."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gaps = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gaps).sum() / len(right))


def main(digits: Path, network: Path, *, metrics: Path, figures: Path) -> None:
    """Score NETWORK on the test images of DIGITS into the file METRICS; draw into the folder FIGURES."""
    from stages.mnist.figures import draw_confusion, draw_most_wrong

    data = read_digits(digits)
    prepare(threads=1)  # a second suffices, and the bits of the metrics do not hang on the machine's cores
    logits = read_network(network).logits(data.x_test).numpy().astype(np.float64)
    probabilities = np.exp(log_softmax(logits))
    with staged(metrics, figures) as (file, folder):
        file.write_text(json.dumps(evaluate(logits, data.y_test), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        folder.mkdir()
        draw_confusion(data.y_test, logits.argmax(axis=1), folder / "confusion.png")
        draw_most_wrong(data.x_test, data.y_test, probabilities, folder / "most_wrong.png")


if __name__ == "__main__":
    run(main)
