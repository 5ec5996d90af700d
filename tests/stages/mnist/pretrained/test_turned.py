"""Turning by hand, and which digits have labels."""

import numpy as np
import pytest

from stages.errors import BadParameters
from stages.mnist.digits import Digits
from stages.mnist.pretrained.turned import few, turn


def test_a_quarter_turn_moves_pixels_anticlockwise(digits: Digits) -> None:
    for quarters in (1, 2, 3):
        assert np.array_equal(turn(digits.x_test, 90 * quarters), np.rot90(digits.x_test, quarters, axes=(1, 2)))
    assert np.array_equal(turn(digits.x_test, -90), turn(digits.x_test, 270))


def test_no_turn_changes_nothing(digits: Digits) -> None:
    assert np.array_equal(turn(digits.x_test, 0), digits.x_test)


def test_an_eighth_of_a_turn_by_hand() -> None:
    """A pixel right of the middle by d goes to the upper right, d / √2 each way; 28 px have their middle at 13.5."""
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 13:15, 13 + 7] = 240  # at ± 0.5, 6.5 from the middle
    turned = turn(image, 45)
    assert turned.dtype == np.uint8
    rows, columns = np.indices((28, 28))
    weights = turned[0] / turned.sum()
    assert 13.5 - (weights * rows).sum() == pytest.approx(6.5 / 2**0.5, abs=0.05)
    assert (weights * columns).sum() - 13.5 == pytest.approx(6.5 / 2**0.5, abs=0.05)


def test_corners_that_turn_in_are_black() -> None:
    turned = turn(np.full((1, 28, 28), 255, np.uint8), 45)[0]
    assert turned[14, 14] == 255
    assert turned[[0, 0, -1, -1], [0, -1, 0, -1]].tolist() == [0] * 4


def test_each_digit_has_as_many_labels(digits: Digits) -> None:
    rows = few(digits.y_train, 3, np.random.default_rng(1))
    assert digits.y_train[rows].tolist() == [digit for digit in range(10) for _ in range(3)]
    assert len(set(rows.tolist())) == 30
    assert not np.array_equal(rows, few(digits.y_train, 3, np.random.default_rng(2)))


def test_a_digit_with_too_few_images_is_named() -> None:
    labels = np.repeat(np.arange(10, dtype=np.uint8), 4)[:-1]
    assert len(few(labels, 3, np.random.default_rng(1))) == 30
    with pytest.raises(BadParameters, match=r"^mnist.transfer.labels is 4; there are 3 training images of 9$"):
        few(labels, 4, np.random.default_rng(1))
