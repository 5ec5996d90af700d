"""Read images.npy (N H W 3 uint8) and masks.npy (N H W uint8 in {0, 1}), mapped into memory rather than loaded."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput

Array = NDArray[np.uint8]


def map_arrays(folder: Path, count: int, multiple: int) -> tuple[Array, Array]:
    """Images and masks of `count` slices, whose sides a network halves down from a multiple of `multiple` px.

    Raises:
        BadInput: a file is missing or no array, or a shape or type is another.
    """
    images, masks = (_map(folder / name) for name in ("images.npy", "masks.npy"))
    sides = images.shape[1:3]
    _expect(folder / "images.npy", images, (count, *sides, 3))
    _expect(folder / "masks.npy", masks, (count, *sides))
    if any(side % multiple for side in sides):
        size = " × ".join(str(side) for side in sides)
        raise BadInput(f"{folder / 'images.npy'}: {size} px, not multiples of {multiple}; set lgg.pack.side to one")
    if (highest := masks.max(initial=0)) > 1:
        raise BadInput(f"{folder / 'masks.npy'}: has the value {highest}, not only 0 and 1; run dvc repro lgg-pack")
    return images, masks


def _map(path: Path) -> Array:
    try:
        array: Array = np.load(path, mmap_mode="r")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro lgg-pack") from None
    except (ValueError, EOFError) as error:
        raise BadInput(f"{path}: not an array ({error}); run dvc repro lgg-pack") from None
    return array


def _expect(path: Path, array: Array, shape: tuple[int, ...]) -> None:
    if array.shape != shape or array.dtype != np.uint8:
        raise BadInput(f"{path}: holds {array.dtype} {array.shape}, not uint8 {shape}; run dvc repro lgg-pack")
