"""What values mean: which of a mask are tumour, and how intensities become 8 bits.

S slices of H W px
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.lgg.layouts.patients import Spacing

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

TUMOUR = (1, 255, 65535)
"""Beside 0, the one value of a mask that may be tumour without anybody's word."""
MOST_PX = 2364
"""The longest side of a slice; above it, sums of stages.lgg.scans.resize overflow."""
SHOWN = 6


@dataclass(frozen=True)
class Axes:
    """How the slices of a volume lie in its file."""

    order: tuple[int, int, int] = (0, 1, 2)
    """The axes of the file along which slices, rows and columns follow each other."""
    backwards: tuple[bool, bool, bool] = (False, False, False)
    """Whether these run against the file."""

    def to_slices(self, volume: NDArray[Any]) -> NDArray[Any]:
        """X Y Z to S H W."""
        return self._turned(volume.transpose(self.order))

    def to_file(self, stack: NDArray[Any]) -> NDArray[Any]:
        """S H W to X Y Z."""
        places: tuple[int, ...] = tuple(self.order.index(axis) for axis in range(3))
        return self._turned(stack).transpose(places)

    def _turned(self, stack: NDArray[Any]) -> NDArray[Any]:
        return stack[tuple(slice(None, None, -1 if one else None) for one in self.backwards)]


@dataclass(frozen=True)
class Grid:
    """The grid of a patient's scan."""

    slices: int
    height: int
    """px"""
    width: int
    """px"""
    spacing_mm: Spacing | None = None
    """Between rows, columns and slices; None where nobody knows."""
    kind: str = "uint8"
    """The type of the values, of pictures."""
    axes: Axes = Axes()
    """Of a volume."""

    @property
    def side(self) -> int:
        """px, of the square about a slice."""
        return max(self.height, self.width)


@contextmanager
def noting(problems: list[str]) -> Iterator[None]:
    """Add what the block finds wrong to `problems`, and go on behind it."""
    try:
        yield
    except BadInput as error:
        problems.append(str(error))


def tumour(mask: NDArray[Any], name: str, labels: Collection[int] | None = None) -> tuple[Mask, int]:
    """Where `mask` (any shape) has a value of `labels`, and the highest value that it has.

    Without labels it must hold 0 and one other value, 1, 255 or 65,535; or 0 alone.

    Raises:
        BadInput: it holds other values, or no background; the message names `name`.
    """
    highest: Any = mask.max()
    if labels is not None:
        chosen: Mask = np.isin(mask, list(labels))
        if highest != 0 and not chosen.any():
            told = ", ".join(map(str, sorted(labels)))
            raise BadInput(f"{name} holds the value {highest}, but tumour is {told}; correct the mask or the labels")
        return chosen, int(highest)
    found: Mask = mask == highest if highest != 0 else np.zeros(mask.shape, np.bool_)
    tumour_px = np.count_nonzero(found)
    if np.count_nonzero(mask) == tumour_px:
        if highest != 0 and highest not in TUMOUR:
            raise BadInput(f"{name} holds the value {highest}; a mask has 0 and 1, 0 and 255, or 0 and 65535")
        if tumour_px == mask.size:
            raise BadInput(f"{name} holds the value {highest} alone; where nothing is 0, background cannot be told")
        return found, int(highest)
    if highest in TUMOUR[1:]:
        other = mask[(mask != 0) & ~found].flat[0]
        raise BadInput(f"{name} holds the value {other}, not only 0 and {highest}")
    values = ", ".join(map(str, np.unique(mask)[:SHOWN]))
    raise BadInput(f"{name} holds the values {values}, of which several may be tumour")


def window(values: NDArray[Any], name: str) -> tuple[float, float]:
    """The values of a volume (any shape) that become 0 and 255.

    The lower is 0, or the least value if that is negative. The upper is that which 99.9 % of the values other than 0 do
    not exceed, or the greatest value where that is the lower.

    Raises:
        BadInput: there are no two values; the message names `name`.
    """
    low, signal = min(float(values.min()), 0.0), values[values != 0]
    if signal.size and (values != values.flat[0]).any():
        place = _place(signal.size) - 1
        high = float(np.partition(signal, place)[place])
        return low, high if high > low else float(values.max())
    raise BadInput(f"{name} shows nothing: all its values are {values.flat[0]}")


def window_of_counts(counts: NDArray[np.int64]) -> tuple[float, float]:
    """As `window`, from how often each of the values 0, 1, 2 … occurs; 0 and 1 where nothing is above 0."""
    above = np.cumsum(counts[1:])
    total = int(above[-1])
    return 0.0, float(np.searchsorted(above, _place(total)) + 1) if total else 1.0


def to_bytes(values: NDArray[Any], low: float, high: float) -> Pixels:
    """From `low` to `high` as 0 to 255, rounded, what is beyond cut off."""
    scaled = (values.astype(np.float64) - low) * 255 / (high - low) + 0.5
    return np.clip(scaled, 0, 255).astype(np.uint8)


def _place(count: int) -> int:
    """How many of `count` values are 99.9 % of them, rounded up."""
    return (999 * count + 999) // 1000
