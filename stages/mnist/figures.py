"""Figures of the MNIST part: what is taken for what, and the errors made with most confidence.

Shapes: N images, 10 classes.
"""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.mnist.digits import CLASSES, Bytes

ROWS, COLUMNS = 4, 8  # of the errors shown
NO_VERSION = {"Software": None}  # else the file names the release of matplotlib


def draw_confusion(labels: Bytes, predicted: NDArray[np.int64], path: Path) -> None:
    """The number of images, N labels against N predictions; the colour is the logarithm of it."""
    counts = np.zeros((CLASSES, CLASSES), int)
    np.add.at(counts, (labels, predicted), 1)
    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot(xlabel="predicted", ylabel="label", xticks=range(CLASSES), yticks=range(CLASSES))
    axes.imshow(np.log1p(counts), cmap="Blues")
    dark = np.log1p(counts.max()) / 2
    for (label, prediction), count in np.ndenumerate(counts):
        colour = "white" if np.log1p(count) > dark else "black"
        axes.text(prediction, label, str(count), ha="center", va="center", color=colour, fontsize=8)
    axes.set_title(f"{len(labels)} test images, {np.trace(counts)} right")
    figure.savefig(path, metadata=NO_VERSION)


def draw_most_wrong(images: Bytes, labels: Bytes, probabilities: NDArray[np.float64], path: Path) -> None:
    """The misread images, N 28 28, most confident first, given the probabilities N 10."""
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    shown = wrong[np.argsort(-confidence[wrong], kind="stable")][: ROWS * COLUMNS]
    figure = Figure(figsize=(COLUMNS * 1.2, ROWS * 1.5), layout="constrained")
    figure.suptitle(f"{len(shown)} of {len(wrong)} errors: label → prediction, its probability")
    for axes, row in zip(figure.subplots(ROWS, COLUMNS).flat, shown, strict=False):
        axes.imshow(images[row], cmap="gray", vmin=0, vmax=255)
        axes.set_title(f"{labels[row]} → {predicted[row]}, {confidence[row]:.2f}", fontsize=8)
    for axes in figure.axes:
        axes.set_axis_off()
    figure.savefig(path, metadata=NO_VERSION)
