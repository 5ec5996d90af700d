"""Synthetic patients: arrays as training wants them, and nobody whom the sample has."""

import numpy as np

from stages.lgg.pretrained.phantoms import phantoms
from stages.lgg.source.hash_random import HashRandom
from stages.lgg.source.phantom import draw


def test_each_phantom_is_drawn_by_its_number_from_1000_on() -> None:
    images, masks, volumes = phantoms(3, 16)
    assert [str(array.dtype) for array in (images, masks, volumes)] == ["uint8", "uint8", "int64"]
    for patient in range(3):
        stack, truth = draw(HashRandom(1000 + patient), 16)
        assert np.array_equal(images[volumes == patient], stack)
        assert np.array_equal(masks[volumes == patient] * 255, truth)
    assert len(images) == len(masks) == len(volumes)


def test_they_have_tumours() -> None:
    _, masks, _ = phantoms(5, 32)
    assert 0.005 < masks.mean() < 0.05
    assert set(np.unique(masks)) == {0, 1}
