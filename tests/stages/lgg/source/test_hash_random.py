"""Draws that depend on patient and purpose alone, and stay in their ranges."""

import numpy as np

from stages.lgg.source.hash_random import ONE, HashRandom


def test_a_draw_depends_on_patient_and_name_alone() -> None:
    first = HashRandom(3).between("radius", 0, 10**6)
    random = HashRandom(3)
    random.octets("noise", 10)
    assert random.between("radius", 0, 10**6) == first
    assert random.between("depth", 0, 10**6) != first
    assert HashRandom(4).between("radius", 0, 10**6) != first


def test_both_bounds_are_drawn() -> None:
    assert {HashRandom(0).between(f"die {throw}", 1, 6) for throw in range(100)} == set(range(1, 7))


def test_smooth_noise_is_bounded_and_has_no_steps() -> None:
    noise = HashRandom(0).smooth("noise", (64, 64, 64), 3)
    assert noise.shape == (64, 64, 64)
    assert noise.min() >= -ONE
    assert noise.max() <= ONE
    assert np.ptp(noise) > ONE
    # a smoothstep is at most 3/2 as steep as a line from one lattice point to the next, which are 64/3 samples apart
    steepest = 2 * ONE * 3 / 2 * 3 / 64
    assert all(abs(np.diff(noise, axis=axis)).max() <= steepest + 2 for axis in range(3))
