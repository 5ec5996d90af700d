"""From the grid of a scan to the square that is packed, and back.

H W px, a slice of the scan · L = max(H, W) px, the square about it · s px, the side packed · S slices
"""

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Kind = TypeVar("Kind", bound=np.generic)


def pad(pixels: NDArray[Kind], side: int) -> NDArray[Kind]:
    """(H W ...) to (side side ...): zeros about it, as many on either side, one more behind where that is odd."""
    height, width = pixels.shape[:2]
    if height == width == side:
        return pixels
    top, left = _margins(height, width, side)
    around = ((top, side - height - top), (left, side - width - left), *[(0, 0)] * (pixels.ndim - 2))
    padded: NDArray[Kind] = np.pad(pixels, around)
    return padded


def to_scan(values: "Tensor", height: int, width: int) -> "Tensor":
    """Values of a packed stack (S s s float32) on the grid of its scan (S H W): what undoes padding and resizing.

    Between pixels they are interpolated linearly, up to L × L px, of which the middle is cut out.
    """
    from torch.nn.functional import interpolate  # packing needs `pad`, and would wait seconds for torch

    side = max(height, width)
    square: Any = values
    if values.shape[-1] != side:
        square = interpolate(values[:, None], size=(side, side), mode="bilinear", align_corners=False)[:, 0]
    top, left = _margins(height, width, side)
    cut: Tensor = square[:, top : top + height, left : left + width]
    return cut


def _margins(height: int, width: int, side: int) -> tuple[int, int]:
    """Rows above and columns to the left of a slice in the middle of a square."""
    return (side - height) // 2, (side - width) // 2
