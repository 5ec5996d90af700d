"""How bright a volume's channels are within the head, from counts of its integers, so the same on any machine.

Shapes: S slices of a patient's stack, H × W pixels, V volumes, C = 3 channels.
"""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

Scaling = Literal["slice", "volume"]
"""slice: from the least to the greatest value of a slice's channels, to 0 to 1 (the tutorial's).
volume: each channel less its mean within the head of the whole volume, over its standard deviation there."""

LEVELS = 256
HIGH = 0.999  # of the pixels that are not 0; above it lie vessels and fat, whose brightness says nothing of the rest
HEAD = 0.1  # of that brightness: what is above belongs to the head (Buda 2019 crops at a tenth of the greatest)


class Brightness(NamedTuple):
    """Mean and standard deviation of each channel within the head, of one volume or of several."""

    mean: NDArray[np.float64]  # C, or V C
    deviation: NDArray[np.float64]  # C, or V C; above 0


def brightness(stack: Pixels) -> Brightness:
    """Of one volume, S H W C; a channel of one value, or of none, has the deviation 1."""
    counts = np.stack([np.bincount(stack[..., channel].ravel(), minlength=LEVELS) for channel in range(stack.shape[3])])
    means, deviations = zip(*(_within_the_head(channel) for channel in counts), strict=True)
    return Brightness(np.array(means), np.array(deviations))


def brightness_of_each(images: Pixels, rows: NDArray[np.int64], volumes: NDArray[np.int64]) -> Brightness:
    """Of V volumes: the `rows` N of `images` M H W C are their slices; `volumes` N says which of the V each belongs to.

    One volume at a time is read.
    """
    each = [brightness(images[rows[volumes == number]]) for number in range(int(volumes.max()) + 1)]
    return Brightness(*(np.stack(values) for values in zip(*each, strict=True)))


def _within_the_head(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Mean and standard deviation of the values above a tenth of the highest; `counts` has how many of each value."""
    positive = counts.copy()
    positive[0] = 0
    below = np.cumsum(positive)
    high = int(np.searchsorted(below, HIGH * below[-1]))
    values = np.arange(LEVELS)
    inside = np.where(values > HEAD * high, positive, 0)
    if not inside.any():
        return 0.0, 1.0
    mean = float((inside * values).sum() / inside.sum())
    variance = float((inside * (values - mean) ** 2).sum() / inside.sum())
    return mean, variance**0.5 or 1.0
