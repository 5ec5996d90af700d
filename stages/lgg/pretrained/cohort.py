"""The slices of some patients, on the device and in the size that is asked for."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from stages.lgg.pretrained.phantoms import phantoms
from stages.lgg.scans.resize import average, majority
from stages.lgg.unet.batches import Slices


class Cohort(NamedTuple):
    """All patients, and how their slices are wanted."""

    table: pd.DataFrame  # slices.csv: N rows
    images: NDArray[np.uint8]  # N H W 3
    masks: NDArray[np.uint8]  # N H W in {0, 1}
    side: int  # px
    device: torch.device

    def slices_of(self, patients: Sequence[str]) -> Slices:
        """The slices of `patients`, each of whom has some, numbered as they come, in squares of `side` px."""
        rows = self.table[self.table["patient"].isin(patients)]
        numbers = rows["patient"].map({patient: place for place, patient in enumerate(patients)})
        images, masks = self.images[rows["slice"]], self.masks[rows["slice"]]
        return self._on_device(
            np.stack([average(image, self.side) for image in images]),
            np.stack([majority(mask, self.side) for mask in masks]),
            np.array(numbers, dtype=np.int64),
        )

    def of_phantoms(self, count: int) -> Slices:
        """The slices of `count` synthetic patients."""
        return self._on_device(*phantoms(count, self.side))

    def _on_device(self, *arrays: NDArray[np.uint8] | NDArray[np.int64]) -> Slices:
        return Slices(*(torch.from_numpy(array).to(self.device) for array in arrays))
