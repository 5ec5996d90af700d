"""Synthetic patients to train on before real ones.

Shapes: N slices of all patients, H = W = side pixels.
"""

import numpy as np
from numpy.typing import NDArray

from stages.lgg.source.hash_random import HashRandom
from stages.lgg.source.phantom import draw

FIRST = 1_000  # numbers of patients from here on are in no sample
Pixels = NDArray[np.uint8]


def phantoms(count: int, side: int) -> tuple[Pixels, Pixels, NDArray[np.int64]]:
    """Images (N H W 3), masks (N H W) in {0, 1}, and the patient of each slice (N), 0 to `count` − 1."""
    drawn = [draw(HashRandom(FIRST + patient), side) for patient in range(count)]
    images, masks = (np.concatenate(arrays) for arrays in zip(*drawn, strict=True))
    return images, masks // 255, np.repeat(np.arange(count), [len(stack) for stack, _ in drawn])
