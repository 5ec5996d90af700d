"""The synthetic patients: a task that is worth a network."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.lgg.source.hash_random import HashRandom
from stages.lgg.source.phantom import draw


@dataclass(frozen=True)
class Patient:
    images: NDArray[np.uint8]  # N H W 3
    masks: NDArray[np.bool_]  # N H W


@pytest.fixture(scope="module")
def patients() -> list[Patient]:
    """Those of the sample."""
    drawn = [draw(HashRandom(patient), 64) for patient in range(110)]
    return [Patient(images, masks == 255) for images, masks in drawn]


def dice(found: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    return float(2 * (found & true).sum() / (found.sum() + true.sum()))


def test_ten_patients_lack_a_sequence_and_six_of_them_two(patients: list[Patient]) -> None:
    same = Counter(
        ((p.images[..., 0] == p.images[..., 1]).all(), (p.images[..., 2] == p.images[..., 1]).all()) for p in patients
    )
    assert same == {(False, False): 100, (False, True): 4, (True, True): 6}


def test_a_lesion_goes_on_from_slice_to_slice(patients: list[Patient]) -> None:
    overlaps = []
    for patient in patients:
        with_tumour = np.flatnonzero(patient.masks.any((1, 2)))
        assert np.ptp(with_tumour) == len(with_tumour) - 1
        overlaps += [(patient.masks[i] & patient.masks[i + 1]).any() for i in with_tumour[:-1]]
    assert np.mean(overlaps) > 0.95


def test_a_lesion_is_bright_in_flair_and_dark_before_contrast(patients: list[Patient]) -> None:
    brighter, darker = [], []
    for patient in patients:
        healthy = (patient.images[..., 1] > 50) & ~patient.masks
        inside, outside = (np.median(patient.images[where], axis=0) for where in (patient.masks, healthy))
        brighter.append(inside[1] > outside[1])
        darker.append(inside[0] < outside[0])
    assert np.mean(brighter) == 1
    assert np.mean(darker) > 0.8


def test_a_threshold_does_not_solve_the_task(patients: list[Patient]) -> None:
    """Neither the best single threshold on FLAIR, nor the best one for each patient, chosen by the truth."""
    scores = []
    for patient in patients:
        flair = patient.images[..., 1].astype(float) / patient.images.max((1, 2, 3), keepdims=True)[..., 0]
        scores.append([dice(flair > threshold, patient.masks) for threshold in np.linspace(0.3, 0.98, 35)])
    assert np.mean(scores, axis=0).max() < 0.45
    assert np.max(scores, axis=1).mean() < 0.55
