import hashlib
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stages.mnist.digits import SIDE
from stages.mnist.synthetic import UNIT, _squared_distances, draw


def test_the_sample_is_the_same_on_every_machine() -> None:
    images, labels = draw(100, seed=1)
    assert (
        hashlib.sha256(images.tobytes()).hexdigest()
        == "449f9a0ed4be98821fa1c5c6c074ba5a60f30e1966123d8d003f6a60701d0899"
    )
    assert labels.tolist() == 10 * list(range(10))


def test_more_digits_begin_with_the_same() -> None:
    assert np.array_equal(draw(30, seed=3)[0][:10], draw(10, seed=3)[0])


def test_seeds_differ() -> None:
    assert not np.array_equal(draw(1, seed=1)[0], draw(1, seed=2)[0])


def test_a_digit_has_ink_on_a_dark_ground() -> None:
    images, _ = draw(200, seed=5)
    assert (images.max(axis=(1, 2)) > 100).all()
    assert (np.median(images, axis=(1, 2)) <= 40).all()


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(-2000, 9000), st.integers(-2000, 9000)), min_size=2, max_size=5))
def test_distances_are_those_of_real_numbers(corners: list[tuple[int, int]]) -> None:
    line = np.array(corners)
    centres = (np.stack(np.meshgrid(np.arange(SIDE), np.arange(SIDE)), axis=-1) + 0.5) * UNIT
    distances = []
    for start, end in pairwise(line):
        way = end - start
        share = np.clip((centres - start) @ way / max(way @ way, 1), 0, 1)
        distances.append(np.hypot(*np.moveaxis(centres - start - share[..., None] * way, -1, 0)))
    assert np.abs(np.sqrt(_squared_distances(line)) - np.min(distances, axis=0)).max() <= 2  # 1/128 px
