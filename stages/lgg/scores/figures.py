"""The figures of an evaluation, made from values and returned unsaved.

Scans are shown by their FLAIR channel. Slices are chosen by rule: evenly from those with tumour, or the worst.

Shapes: S slices shown, H × W pixels.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Generator, Tensor

from stages.lgg.scores import panels
from stages.lgg.scores.calibration import BINS, DILATION_PX, calibration
from stages.lgg.unet.augment import Augmentation, augment, scale_intensity
from stages.lgg.unet.losses import binary_cross_entropy, soft_dice_loss

FLAIR = 1
EXTREME = Augmentation(scale=0.2, rotation_degrees=90, flip=0.5)
AUGMENTATION_SEED = 777


class Shown(NamedTuple):
    """Slices to show, and what the network makes of them."""

    images: NDArray[np.uint8]  # S H W 3
    masks: NDArray[np.uint8]  # S H W
    predicted: NDArray[np.bool_]  # S H W
    logits: Tensor  # S H W


def draw(
    show: Callable[[NDArray[np.int64]], Shown],
    slices: pd.DataFrame,
    patients: pd.DataFrame,
    bins: pd.DataFrame,
    threshold: float,
) -> dict[str, Figure]:
    """All figures by name. `show` gives the slices at some rows of the arrays; the tables are an evaluation's."""
    lesions = slices[slices["tumour_px"] > 0]
    three, one, eight = evenly(lesions, 3), evenly(lesions, 1), evenly(lesions, 8)
    worst = worst_slices(slices, patients, 6)
    shown = [show(chosen["slice"].to_numpy()) for chosen in (three, one, eight, worst)]
    return {
        "masks": masks(three, shown[0]),
        "augmentations": augmentations(one, shown[1], Generator().manual_seed(AUGMENTATION_SEED)),
        "predictions": predictions(eight, shown[2], threshold),
        "worst-patients": worst_patients(worst, shown[3]),
        "reliability": reliability(bins),
    }


def evenly(slices: pd.DataFrame, count: int) -> pd.DataFrame:
    """At most `count` of the slices, from the middles of as many equal parts."""
    places = (np.arange(count) + 0.5) * len(slices) / count
    return slices.iloc[np.unique(places.astype(np.int64))]


def worst_slices(slices: pd.DataFrame, patients: pd.DataFrame, count: int) -> pd.DataFrame:
    """The `count` patients of lowest per-volume Dice, worst first, each with its slice of largest true area."""
    worst = patients.dropna(subset="dice").sort_values("dice", kind="stable").head(count)
    by_area = slices.sort_values(["tumour_px", "predicted_px"], ascending=False, kind="stable")
    largest = by_area.drop_duplicates("patient")[["patient", "slice", "number"]]
    return worst.merge(largest, on="patient", validate="one_to_one")


def masks(slices: pd.DataFrame, shown: Shown) -> Figure:
    """Scans with the outline of their tumour, and the masks beside: a check that the two belong together."""
    figure = panels.new_figure("Slices with tumour (FLAIR) and their masks", 6, 2.9 * len(slices) + 0.8)
    grid = figure.subplots(len(slices), 2, squeeze=False)
    for (left, right), title, image, mask in zip(grid, panels.titles(slices), shown.images, shown.masks, strict=True):
        panels.scan(left, image[..., FLAIR], title)
        panels.outline(left, mask, panels.TRUE)
        panels.mask(right, mask, f"its mask\n{mask.sum():,} px")
    panels.legend(figure, panels.TRUE)
    return figure


def augmentations(slices: pd.DataFrame, shown: Shown, generator: Generator) -> Figure:
    """One slice mapped 24 times, far beyond what training does, with the mask that was mapped with it.

    So far that a mask which is left behind would be seen. The title says that training draws other maps.
    """
    images = scale_intensity(torch.from_numpy(shown.images).permute(0, 3, 1, 2)).expand(24, -1, -1, -1)
    truth = torch.from_numpy(shown.masks)[:, None].float().expand(24, -1, -1, -1)
    where = panels.titles(slices)[0].replace("\n", ", ")
    scale, flip = 100 * EXTREME.scale, 100 * EXTREME.flip
    change = f"scale ± {scale:.0f} %, rotation ± {EXTREME.rotation_degrees:.0f}°, flip {flip:.0f} %"
    heading = f"{where}: does the mask move with its slice?\n24 maps for this picture alone: {change}"
    figure = panels.new_figure(f"{heading}\nNot the augmentations of training: lgg.train.augment has those", 12, 9)
    moved = [tensor.numpy() for tensor in augment(images, truth, EXTREME, generator)]
    for axes, image, mask in zip(figure.subplots(4, 6).flat, *moved, strict=True):
        panels.scan(axes, image[FLAIR])
        panels.outline(axes, mask[0], panels.TRUE)
    panels.legend(figure, panels.TRUE)
    return figure


def predictions(slices: pd.DataFrame, shown: Shown, threshold: float) -> Figure:
    """Scan, true mask and predicted mask below each other, with the losses of that slice alone."""
    heading = f"Slices with tumour (FLAIR); predicted from probability {threshold}"
    figure = panels.new_figure(heading, max(6, 2 * len(slices)), 7)
    columns = figure.subplots(3, len(slices), squeeze=False).T
    for i, (title, (top, middle, bottom)) in enumerate(zip(panels.titles(slices), columns, strict=True)):
        truth, probability = torch.from_numpy(shown.masks[i]).float(), shown.logits[i].sigmoid()
        bce, dice = binary_cross_entropy(shown.logits[i], truth), soft_dice_loss(probability, truth)
        panels.scan(top, shown.images[i, ..., FLAIR], title)
        panels.mask(middle, shown.masks[i], "true mask")
        losses = f"binary cross-entropy {bce:.4f}\nsoft dice loss {dice:.4f}"
        panels.mask(bottom, shown.predicted[i], f"predicted mask\n{losses}")
    return figure


def worst_patients(slices: pd.DataFrame, shown: Shown) -> Figure:
    """Where the network fails most: outlines on the slice of largest true area, with the patient's scores."""
    figure = panels.new_figure("Patients of lowest per-volume Dice: slice of largest true area (FLAIR)", 12, 9.5)
    grid = list(figure.subplots(2, 3).flat)
    for axes, title, image, mask, guess, (_, scores) in zip(
        grid, panels.titles(slices), shown.images, shown.masks, shown.predicted, slices.iterrows(), strict=False
    ):
        panels.scan(axes, image[..., FLAIR], f"{title}\n{_scores(scores)}")
        panels.outline(axes, mask, panels.TRUE)
        panels.outline(axes, guess, panels.PREDICTED)
    for axes in grid[len(slices) :]:
        axes.set_axis_off()
    panels.legend(figure, panels.TRUE, panels.PREDICTED)
    return figure


def _scores(patient: pd.Series) -> str:
    return (
        f"Dice per volume {patient['dice']:.3f}, NSD (2 px) {patient['nsd']:.3f}, HD95 {patient['hd95_px']:.1f} px\n"
        f"of {patient['slices']} slices {patient['missed_slices']} missed, {patient['false_slices']} false; "
        f"volume {100 * patient['relative_volume_error']:+.0f} %"
    )


def reliability(bins: pd.DataFrame) -> Figure:
    """Share of tumour against predicted probability, and how many pixels stand behind each point."""
    filled = bins[bins["pixels"] > 0]
    error = calibration(bins)[f"expected_calibration_error_{BINS}_bins"]
    figure = panels.new_figure(f"Reliability within {DILATION_PX} px of the true tumour", 6, 8)
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    top.plot([0, 1], [0, 1], color="grey", linestyle="dotted", label="perfectly calibrated")
    top.plot(
        filled["probability"] / filled["pixels"],
        filled["tumour"] / filled["pixels"],
        marker="o",
        label=f"U-Net, expected calibration error {error:.3f} ({BINS} bins)",
    )
    top.set(ylabel="share of pixels that are tumour", xlim=(0, 1), ylim=(0, 1))
    top.legend()
    bottom.bar((np.arange(BINS) + 0.5) / BINS, bins["pixels"], width=1 / BINS, edgecolor="white")
    bottom.set(xlabel="predicted probability of tumour", ylabel="pixels", yscale="log", ylim=(0.5, None))
    return figure
