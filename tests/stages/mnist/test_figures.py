"""The figures: what they show, and that their bytes hang on nothing else."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.mnist.digits import Digits
from stages.mnist.figures import draw_confusion, draw_most_wrong


@pytest.mark.parametrize(("taken_for", "same"), [(1, True), (2, False)])
def test_the_confusion_shows_what_was_taken_for_what(taken_for: int, same: bool, tmp_path: Path) -> None:
    labels = np.array([0] * 50 + [9], np.uint8)
    draw_confusion(labels, np.array([0] * 50 + [1]), tmp_path / "a.png")
    draw_confusion(labels, np.array([0] * 50 + [taken_for]), tmp_path / "b.png")
    assert ((tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()) == same


@pytest.mark.parametrize("errors", [0, 3, 40])
def test_the_32_most_confident_errors_are_shown(errors: int, digits: Digits, tmp_path: Path) -> None:
    confidence = np.random.default_rng(0).uniform(0.6, 0.9, (errors, 1))
    probabilities = np.eye(10)[digits.y_test]
    others = np.eye(10)[(digits.y_test[:errors] + 1) % 10]
    probabilities[:errors] = confidence * others + (1 - confidence) / 10
    shown = np.argsort(-confidence[:, 0])[:32]

    def draw(blank: NDArray[np.int64]) -> bytes:
        images = digits.x_test.copy()
        images[blank] = 0
        draw_most_wrong(images, digits.y_test, probabilities, tmp_path / "wrong.png")
        return (tmp_path / "wrong.png").read_bytes()

    whole = draw(shown[:0])
    assert draw(np.setdiff1d(np.arange(100), shown)) == whole
    assert all(draw(shown[end:][:1]) != whole for end in (0, -1) if errors)
