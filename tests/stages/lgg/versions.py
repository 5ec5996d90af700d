"""Small versions of the data, worked out by hand."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HEAD = "slice,patient,institution,number,tumour_px\n"
BEFORE = "0,P1,CS,1,0\n1,P1,CS,2,5\n2,P2,DU,1,0\n3,P2,DU,2,3\n4,P2,DU,10,0\n5,P3,EZ,1,1\n6,P4,FG,1,0\n"
AFTER = "0,P0,HT,1,7\n1,P1,CS,1,0\n2,P1,CS,2,6\n3,P2,DU,1,0\n4,P2,DU,3,9\n5,P2,DU,10,0\n6,P4,FG,1,0\n"
OF_AFTER = [9, 0, 1, 2, 9, 4, 6]  # the rows of BEFORE that those of AFTER hold the pixels of; 9 is a new one


def pixels(rows: list[int]) -> NDArray[np.uint8]:
    """N 2 2, the first pixel of each the number given."""
    array = np.zeros((len(rows), 2, 2), dtype=np.uint8)
    array[:, 0, 0] = rows
    return array


def save(folder: Path, rows: str, images: list[int], masks: list[int]) -> None:
    """A table and its arrays."""
    folder.mkdir(parents=True)
    (folder / "slices.csv").write_text(HEAD + rows)
    np.save(folder / "images.npy", pixels(images))
    np.save(folder / "masks.npy", pixels(masks))
