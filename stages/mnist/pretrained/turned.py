"""The new task of mnist-transfer: digits that are turned, of which few have labels.

Shapes: N images.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import rotate

from stages.errors import BadParameters
from stages.mnist.digits import CLASSES, Bytes


def turn(images: Bytes, degrees: float) -> Bytes:
    """Images N 28 28 turned anticlockwise about their middle, interpolated linearly, black where nothing was."""
    return np.asarray(rotate(images, degrees, axes=(1, 2), reshape=False, order=1))


def few(labels: Bytes, each: int, generator: np.random.Generator) -> NDArray[np.int64]:
    """Indices of `each` images of every digit, drawn without replacement, from the labels N of all images.

    Raises:
        BadParameters: a digit has fewer images.
    """
    found = [np.flatnonzero(labels == digit) for digit in range(CLASSES)]
    for digit, rows in enumerate(found):
        if len(rows) < each:
            raise BadParameters(f"mnist.transfer.labels is {each}; there are {len(rows)} training images of {digit}")
    return np.concatenate([generator.choice(rows, each, replace=False) for rows in found])
