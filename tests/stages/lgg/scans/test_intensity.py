"""How bright channels are within the head, worked by hand, and of several volumes at once."""

import numpy as np
import pytest

from stages.lgg.scans.intensity import brightness, brightness_of_each


def test_mean_and_deviation_are_of_what_is_above_a_tenth_of_the_brightest() -> None:
    stack = np.zeros((2, 4, 4, 3), np.uint8)
    stack[0, 0, :, 0] = [5, 100, 120, 140]  # 5 is noise around the head
    stack[1, 0, :2, 1] = 50
    mean, deviation = brightness(stack)
    assert mean.tolist() == [120, 50, 0]
    assert deviation.tolist() == pytest.approx([(800 / 3) ** 0.5, 1, 1])


def test_the_few_brightest_pixels_do_not_say_what_the_head_is() -> None:
    stack = np.full((1, 100, 100, 3), 20, np.uint8)
    stack[0, 0, :5] = 255  # 5 of 10,000
    mean, _ = brightness(stack)
    assert mean.tolist() == pytest.approx([20 + 235 * 5 / 10_000] * 3)


def test_each_volume_is_looked_at_alone() -> None:
    images = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)
    volumes = np.array([1, 0, 1, 1, 0])
    rows = np.array([4, 2, 0, 3, 1])
    mean, deviation = brightness_of_each(images, rows, volumes)
    assert mean.shape == deviation.shape == (2, 3)
    for number in (0, 1):
        one = brightness(images[rows][volumes == number])
        assert (mean[number].tolist(), deviation[number].tolist()) == (one.mean.tolist(), one.deviation.tolist())
