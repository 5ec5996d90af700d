"""What the figures are put together from: a scan, a mask, an outline, a legend. Arrays are H W pixels."""

from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from numpy.typing import ArrayLike


class Outline(NamedTuple):
    """How the border of a mask is drawn, in colours that colour-blind readers tell apart."""

    name: str
    colour: str
    line: Literal["solid", "dashed"]


TRUE = Outline("true tumour", "#56B4E9", "solid")
PREDICTED = Outline("predicted tumour", "#E69F00", "dashed")


def new_figure(title: str, width: float, height: float) -> Figure:
    """An empty figure of `width` × `height` inches."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(h_pad=0.08))
    figure.suptitle(title)
    return figure


def scan(axes: Axes, image: ArrayLike, title: str = "") -> None:
    """One channel in grey, from its own minimum to its own maximum."""
    axes.imshow(image, cmap="gray")
    _finish(axes, title)


def mask(axes: Axes, pixels: ArrayLike, title: str) -> None:
    """A mask in white on black."""
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    _finish(axes, title)


def outline(axes: Axes, pixels: ArrayLike, drawn: Outline) -> None:
    """The border of a mask, drawn over a scan; nothing for an empty mask."""
    framed = np.pad(np.asarray(pixels, dtype=np.float64), 1)  # so that a mask is closed at the image's edge
    if framed.any():
        height, width = framed.shape
        x, y = np.arange(width) - 1, np.arange(height) - 1
        axes.contour(x, y, framed, [0.5], colors=drawn.colour, linestyles=drawn.line)


def legend(figure: Figure, *outlines: Outline) -> None:
    """Name the outlines below the panels."""
    handles = [Line2D([], [], color=one.colour, linestyle=one.line, label=one.name) for one in outlines]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)


def titles(slices: pd.DataFrame) -> list[str]:
    """The patient and the number of each slice, on two lines."""
    return [f"{patient}\nslice {number}" for patient, number in zip(slices["patient"], slices["number"], strict=True)]


def _finish(axes: Axes, title: str) -> None:
    axes.set_title(title, fontsize=8)
    axes.set_axis_off()
