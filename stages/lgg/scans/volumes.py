"""Patients whose sequences are volumes: their grid, then one slice after the other.

Slices follow each other along the axis with the largest spacing. Of axes whose spacing is nearly that, it is the one
from foot to head, or the last one where a file does not say which that is. They lie as a reader of images sees them,
and as pictures have them: of axial slices the front is at the top and the right side to the left.
Where a file does not say how it lies in the patient, rows and columns are its other two axes in their order.

X Y Z voxels of the file · S slices of H W px
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.lgg.formats.nifti import CLOSE, HEAD_BYTES, Header, read_header, read_voxels
from stages.lgg.layouts.patients import Volumes
from stages.lgg.scans.archive import VOLUME_BYTES, Archive
from stages.lgg.scans.values import MOST_PX, Axes, Grid, Mask, Pixels, noting, to_bytes, tumour, window

ALIKE = 0.9
"""Of the largest spacing: an axis with more may be the one that slices follow each other along."""
APART = 0.1
"""Voxels that the corners of two volumes of one patient may lie apart."""
WHICH_LABELS = "say which in a table patients.csv, with columns patient and labels, as `1 2 4`"


def measure(archive: Archive, patient: Volumes, problems: list[str]) -> Grid | None:
    """The grid of FLAIR, which all others must have; None adds to `problems` why not."""
    try:
        return _grid(archive, patient)
    except BadInput as error:
        problems.append(str(error))
        return None


def read(archive: Archive, patient: Volumes, grid: Grid, problems: list[str]) -> Iterator[tuple[Pixels, Mask]]:
    """Slices and masks, (H W 3) and (H W), in order; none if a file is bad, which is added to `problems`."""
    before = len(problems)
    flair, pre, post = (_channel(archive, name, grid, problems) for name in (patient.flair, patient.pre, patient.post))
    mask: Mask | None = None
    with noting(problems):
        mask = _mask(archive, patient, grid)
    if mask is None or flair is None or len(problems) > before:
        return
    channels = [flair if channel is None else channel for channel in (pre, flair, post)]
    for number in range(grid.slices):
        yield np.stack([channel[number] for channel in channels], axis=-1), mask[number]


def grid_of(header: Header, name: str) -> Grid:
    """The grid of a volume's slices, and how they lie in its file.

    Raises:
        BadInput: slices are too large; the message names `name`.
    """
    mm, shape = header.spacing_mm, header.shape
    thick = ALIKE * max(mm)
    world, sense = _directions(header) if header.placed else ((0, 1, 2), (1, 1, 1))
    axis = max(
        range(3),
        key=lambda one: (shape[one] == 1, mm[one] > thick, header.placed and world[one] == 2, round(mm[one], 3), one),
    )
    row, column = (one for one in range(3) if one != axis)
    backwards = (False, False, False)
    if header.placed:
        row, column = sorted((row, column), key=lambda one: -world[one])
        backwards = (False, bool(sense[row] > 0), bool(sense[column] > 0))
    height, width = shape[row], shape[column]
    if max(height, width) > MOST_PX:
        raise BadInput(f"{name} has slices of {height} × {width} px; the most are {MOST_PX}")
    between = header.voxel_mm3 / (mm[row] * mm[column])  # from slice to slice, at right angles to them
    spacing = (mm[row], mm[column], between) if header.spacing_known else None
    return Grid(shape[axis], height, width, spacing, axes=Axes((axis, row, column), backwards))


def _directions(header: Header) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Of each axis of the file, to what it points: 0 right, 1 front, 2 top, and 1 or −1 for there or away from it."""
    from nibabel.orientations import io_orientation

    world, sense = io_orientation(header.affine).T
    return tuple(map(int, world)), tuple(map(int, sense))


def _grid(archive: Archive, patient: Volumes) -> Grid:
    flair = _header(archive, patient.flair)
    for name in patient.files:
        hold(_header(archive, name), name, flair, patient.flair)
    grid = grid_of(flair, patient.flair)
    stated = grid.spacing_mm
    if stated and patient.spacing_mm and not np.allclose(stated, patient.spacing_mm, rtol=CLOSE):
        told, found = (" × ".join(map(str, one)) for one in (patient.spacing_mm, stated))
        raise BadInput(
            f"{patient.flair} has a spacing of {found} mm, but patients.csv says {told}; correct one of them"
        )
    return replace(grid, spacing_mm=stated or patient.spacing_mm)


def _header(archive: Archive, name: str) -> Header:
    return read_header(archive.head(name, HEAD_BYTES), name)


def hold(header: Header, name: str, flair: Header, flair_name: str) -> None:
    """Compare the grid of a volume with that of FLAIR.

    Raises:
        BadInput: they differ; the message names both files.
    """
    if header.shape != flair.shape:
        found, wanted = ("×".join(map(str, one.shape)) for one in (header, flair))
        raise BadInput(f"{name} is {found} voxels, and {flair_name} {wanted}; resample one to the other")
    corners = np.array([[*place, 1] for place in np.ndindex(2, 2, 2)]) * [*flair.shape, 1]
    apart = np.abs(corners @ (header.affine - flair.affine).T).max() * flair.mm
    if apart > APART * min(flair.spacing_mm):
        raise BadInput(f"{name} lies {apart:.3g} mm beside {flair_name}; resample one to the other")


def _channel(archive: Archive, name: str | None, grid: Grid, problems: list[str]) -> Pixels | None:
    """A sequence (S H W) in 8 bits; None if there is none, or it is bad."""
    if name is not None:
        with noting(problems):
            values = _slices(archive, name, grid)
            return shown(values, name)
    return None


def shown(values: NDArray[Any], name: str) -> Pixels:
    """A sequence (S H W) in 8 bits: those of the file, or its range of values.

    Raises:
        BadInput: all its values are the same; the message names `name`.
    """
    ends = window(values, name)
    return values if values.dtype == np.uint8 else np.stack([to_bytes(one, *ends) for one in values])


def _mask(archive: Archive, patient: Volumes, grid: Grid) -> Mask:
    values = _slices(archive, patient.mask, grid)
    try:
        return tumour(values, patient.mask, patient.labels)[0]
    except BadInput as error:
        raise BadInput(f"{error}; {WHICH_LABELS}") from None


def _slices(archive: Archive, name: str, grid: Grid) -> NDArray[Any]:
    """(X Y Z) as (S H W)."""
    return grid.axes.to_slices(read_voxels(archive.read(name), name, VOLUME_BYTES))
