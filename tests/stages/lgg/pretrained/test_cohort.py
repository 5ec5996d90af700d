"""Slices by patient: which ones, in which order and size."""

import numpy as np
import pandas as pd
import torch

from stages.lgg.pretrained.cohort import Cohort


def cohort(side: int) -> Cohort:
    images = np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 4, 4, 3), np.uint8)
    masks = np.zeros((5, 4, 4), np.uint8)
    masks[3, :2] = 1
    table = pd.DataFrame({"slice": range(5), "patient": ["a", "a", "b", "c", "c"]})
    return Cohort(table, images, masks, side, torch.device("cpu"))


def test_patients_are_numbered_as_they_come() -> None:
    found = cohort(4).slices_of(["c", "a"])
    assert found.images[:, 0, 0, 0].tolist() == [0, 1, 3, 4]
    assert found.volumes.tolist() == [1, 1, 0, 0]
    assert found.masks.sum((1, 2)).tolist() == [0, 0, 8, 0]


def test_slices_are_made_smaller() -> None:
    found = cohort(2).slices_of(["c"])
    assert found.images.shape == (2, 2, 2, 3)
    assert found.masks.tolist() == [[[1, 1], [0, 0]], [[0, 0], [0, 0]]]
    assert cohort(8).of_phantoms(2).images.shape[1:] == (8, 8, 3)
