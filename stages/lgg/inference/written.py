"""What is written of a scan: volumes with the geometry of FLAIR, or a file for each slice; a picture; numbers.

S slices of H W px
"""

import gzip
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.atomic import staged
from stages.errors import BadInput
from stages.lgg.formats.nifti import Header
from stages.lgg.inference.found import Scan
from stages.lgg.inference.reading import Read
from stages.lgg.scans.values import Grid

YELLOW = (255, 255, 0)
ML = 1000.0  # mm³


def check_out(scans: Sequence[Scan], out: Path) -> None:
    """Refuse to write beside the files of any scan, where something might take the place of another file.

    Raises:
        BadInput: `out`, or the folder in it for a scan's slices, is the folder of a scan; or `out` is a file.
    """
    if out.exists() and not out.is_dir():
        raise BadInput(f"{out} is a file; give -o a folder")
    theirs = dict[Path, Scan]()
    for scan in scans:
        for path in scan.files:
            theirs |= {path.parent.resolve(): scan, path.resolve().parent: scan}
    for folder in [out, *(out / scan.name for scan in scans if scan.sequences is None)]:
        if lying := theirs.get(folder.resolve()):
            raise BadInput(f"{folder}: {lying.name} lies there, and might be written over; give -o another folder")


def write(scan: Scan, read: Read, layers: dict[str, NDArray[Any]], out: Path, preview: bytes | None) -> None:
    """Write each of `layers` (S H W), a mask of bool or values of float32, under its name; and the picture."""
    files = dict[Path, bytes]()
    folder = out if read.header else out / scan.name
    for what, values in layers.items():
        if read.header:
            files[out / f"{scan.name}_{what}.nii.gz"] = nifti(values, read.header, read.grid)
        else:
            for number, one in zip(scan.slices, values, strict=True):
                files[folder / f"{scan.name}_{number}_{what}.tif"] = _tiff(one)
    if preview is not None:
        files[out / f"{scan.name}_preview.png"] = preview
    with staged(*files) as parts:
        for part, content in zip(parts, files.values(), strict=True):
            part.write_bytes(content)


def nifti(values: NDArray[Any], header: Header, grid: Grid) -> bytes:
    """A compressed file of S H W values, a mask as 0 and 1, that lies where the scan lies."""
    from nibabel.nifti1 import Nifti1Header, Nifti1Image
    from nibabel.nifti2 import Nifti2Header, Nifti2Image

    stored = values.view(np.uint8) if values.dtype == np.bool_ else values
    raw: Any = header.raw.copy()
    raw.set_data_dtype(stored.dtype)
    raw.set_data_offset(0)
    raw["scl_slope"], raw["scl_inter"], raw["cal_min"], raw["cal_max"] = np.nan, np.nan, 0, 0
    kind: Any = Nifti2Image if isinstance(raw, Nifti2Header) else Nifti1Image
    assert isinstance(raw, Nifti1Header)
    return gzip.compress(kind(grid.axes.to_file(stored), header.affine, raw).to_bytes(), mtime=0)


def _tiff(values: NDArray[Any]) -> bytes:
    import tifffile

    stream = io.BytesIO()
    stored = values.view(np.uint8) * np.uint8(255) if values.dtype == np.bool_ else values
    tifffile.imwrite(stream, stored, photometric="minisblack", metadata=None)
    return stream.getvalue()


def picture(read: Read, mask: NDArray[np.bool_]) -> bytes:
    """A PNG of FLAIR in the slice with the largest mask, the middle one if there is none, its edge in yellow."""
    import imagecodecs
    from scipy import ndimage

    areas = mask.sum(axis=(1, 2))
    number = int(areas.argmax()) if areas.any() else len(mask) // 2
    shown = np.repeat(read.pixels[number, ..., 1:2], 3, axis=-1)
    shown[mask[number] & ~ndimage.binary_erosion(mask[number])] = YELLOW
    return bytes(imagecodecs.png_encode(shown))


def statistics(name: str, grid: Grid, mask: NDArray[np.bool_]) -> dict[str, str | int | float | None]:
    """How large the mask is: in ml and mm where the spacing is known, which else is empty."""
    sides = [_extent(np.asarray(mask.any(axis=others))) for others in ((1, 2), (0, 2), (0, 1))]
    row: dict[str, str | int | float | None] = {
        "scan": name,
        "slices": grid.slices,
        "slices_with_tumour": int(mask.any(axis=(1, 2)).sum()),
        "tumour_px": int(mask.sum()),
        "largest_extent_px": max(sides),
        "volume_ml": None,
        "largest_extent_mm": None,
    }
    if grid.spacing_mm:
        rows, columns, slices = grid.spacing_mm
        row["volume_ml"] = round(int(mask.sum()) * rows * columns * slices / ML, 6)
        row["largest_extent_mm"] = round(
            max(side * mm for side, mm in zip(sides, (slices, rows, columns), strict=True)), 3
        )
    return row


def _extent(holds: NDArray[np.bool_]) -> int:
    """From the first place that holds something to the last one."""
    places = np.flatnonzero(holds)
    return int(places[-1] - places[0]) + 1 if len(places) else 0
