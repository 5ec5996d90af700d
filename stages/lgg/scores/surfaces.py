"""How far the outlines of predicted and true masks lie apart, measured by MONAI in two dimensions.

MONAI takes as the outline the pixels of a mask that one of their four neighbours, or the image's edge, leaves bare.
NSD, the normalised surface dice, is the share of both outlines' pixels that lie within a tolerance of the other
outline (Nikolov et al. 2018). HD95 is the larger of the two directed distances' 95th percentiles, interpolated
linearly; some programs take one percentile of both directions together, which is another number.

Shapes: S slices of a patient's stack, H × W pixels.
"""

import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from types import ModuleType

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

TOLERANCE_PX = 2.0
TOLERANCE_MM = 2.0
PERCENTILE = 95.0
NAMES = ["nsd", "hd95_px", "nsd_2mm", "hd95_mm"]

Measure = Callable[..., torch.Tensor]


def implementation() -> str:
    """What measured, for the record."""
    version = metadata.version("monai")
    return f"MONAI {version}, compute_surface_dice and compute_hausdorff_distance, 2-D, 4-connected outline pixels"


def surface_distances(
    prediction: NDArray[np.bool_], truth: NDArray[np.bool_], pixel_mm: tuple[float, float] | None = None
) -> pd.DataFrame:
    """`nsd` (tolerance 2 px) and `hd95_px` for each slice of S H W masks, NaN where either mask is empty.

    `pixel_mm` is the height and the width of a pixel. Given them, `nsd_2mm` and `hd95_mm` are the same in mm; else NaN.
    MONAI itself would say 0 or NaN of an empty mask, depending on which of the two is empty, and warn.
    """
    scores = pd.DataFrame(dict.fromkeys(NAMES, np.nan), index=range(len(truth)))
    both = prediction.any(axis=(1, 2)) & truth.any(axis=(1, 2))
    if both.any():
        pair = [torch.from_numpy(masks[both])[:, None] for masks in (prediction, truth)]  # 2 of S 1 H W
        scores.loc[both, NAMES[:2]] = _measured(pair, TOLERANCE_PX, None)
        if pixel_mm:
            scores.loc[both, NAMES[2:]] = _measured(pair, TOLERANCE_MM, pixel_mm)
    return scores


def _measured(pair: list[torch.Tensor], tolerance: float, spacing: tuple[float, float] | None) -> NDArray[np.float64]:
    """NSD and HD95 of each slice (S 2), in the unit of `spacing`."""
    surface_dice, hausdorff_distance = _monai()
    # MONAI 1.5 and 1.6 pass themselves an argument that they deprecate. For good: threads share what is ignored.
    warnings.filterwarnings("ignore", r".*`always_return_as_numpy` has been deprecated", FutureWarning)
    nsd = surface_dice(*pair, class_thresholds=[tolerance], include_background=True, spacing=spacing)
    hd95 = hausdorff_distance(*pair, percentile=PERCENTILE, include_background=True, spacing=spacing)
    values: NDArray[np.float64] = torch.cat([nsd, hd95], dim=1).double().numpy()
    return values


def _monai() -> tuple[Measure, Measure]:
    """MONAI's two functions, imported when first needed, since that takes seconds.

    It imports TensorBoard, which imports TensorFlow unless a module of this name exists: half of the time, and
    lines on standard error.
    """
    sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice

    return compute_surface_dice, compute_hausdorff_distance
