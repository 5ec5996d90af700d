"""A scan as the network is to see it, and the grid that its mask has to have.

S slices of H W px · s px, the side that the network was trained on
"""

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.lgg.formats.dicom import to_nifti
from stages.lgg.formats.nifti import HEAD_BYTES, Header, read_header, read_voxels
from stages.lgg.formats.png import read_png
from stages.lgg.formats.tiff import read_tiff
from stages.lgg.inference.found import SEQUENCES, Scan
from stages.lgg.scans.archive import FILE_BYTES, VOLUME_BYTES
from stages.lgg.scans.geometry import pad
from stages.lgg.scans.resize import average
from stages.lgg.scans.stacks import DEPTHS, form, narrow, opaque
from stages.lgg.scans.values import MOST_PX, Grid, Pixels, window_of_counts
from stages.lgg.scans.volumes import grid_of, hold, shown


@dataclass(frozen=True)
class Read:
    """What a scan holds."""

    pixels: Pixels
    """S H W 3."""
    grid: Grid
    header: Header | None
    """Of FLAIR; None for pictures."""
    missing: tuple[str, ...]
    """Sequences that FLAIR stands in for."""
    hashes: dict[str, str]
    """SHA-256 of each file, by its name; of DICOM, of each sequence, its files one after the other."""

    def packed(self, side: int) -> Pixels:
        """(S s s 3): padded to squares and resized as packing does it."""
        return np.stack([average(pad(one, self.grid.side), side) for one in self.pixels])


def read(scan: Scan, *, as_stored: bool = False) -> Read:
    """All files of a scan; `as_stored` takes slices as they lie in a volume, whatever it says of the patient.

    Raises:
        BadInput: one is damaged, or of another form than the others; the message names it.
    """
    if scan.problem:
        raise BadInput(scan.problem)
    contents = {path: _content(path) for path in scan.files}
    if scan.dicom and scan.sequences:
        series = {name: {path: contents[path] for path in paths} for name, paths in scan.sequences.items()}
        hashes = {name: sha256(b"".join(slices.values())).hexdigest() for name, slices in series.items()}
        files = {name: (next(iter(slices)).parent, to_nifti(slices)) for name, slices in series.items()}
        return _volumes(files, hashes, as_stored)
    hashes = {path.name: sha256(content).hexdigest() for path, content in contents.items()}
    if scan.sequences is None:
        return _pictures(contents, hashes)
    return _volumes({name: (path, contents[path]) for name, (path,) in scan.sequences.items()}, hashes, as_stored)


def _content(path: Path) -> bytes:
    try:
        if (size := path.stat().st_size) > VOLUME_BYTES:
            raise BadInput(f"{path} has {size} bytes; a file of a scan has at most {VOLUME_BYTES}")
        return path.read_bytes()
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def _volumes(files: dict[str, tuple[Path, bytes]], hashes: dict[str, str], as_stored: bool) -> Read:
    headers = {name: read_header(content[:HEAD_BYTES], str(path)) for name, (path, content) in files.items()}
    flair = headers["flair"]
    for name, header in headers.items():
        hold(header, str(files[name][0]), flair, str(files["flair"][0]))
    grid = grid_of(replace(flair, placed=False) if as_stored else flair, str(files["flair"][0]))
    channels = {name: _channel(path, content, grid) for name, (path, content) in files.items()}
    pixels = np.stack([channels.get(name, channels["flair"]) for name in SEQUENCES], axis=-1)
    return Read(pixels, grid, flair, tuple(name for name in SEQUENCES if name not in files), hashes)


def _channel(path: Path, content: bytes, grid: Grid) -> Pixels:
    return shown(grid.axes.to_slices(read_voxels(content, str(path), VOLUME_BYTES)), str(path))


def _pictures(contents: dict[Path, bytes], hashes: dict[str, str]) -> Read:
    images = list[NDArray[Any]]()
    for path, content in contents.items():
        picture = read_png if path.suffix.lower() == ".png" else read_tiff
        image = opaque(picture(content, str(path), FILE_BYTES), str(path))
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype not in DEPTHS or max(image.shape) > MOST_PX:
            raise BadInput(f"{path} is {form(image)}, not H×W×3 of uint8 or uint16, up to {MOST_PX} px")
        if images and (image.shape, image.dtype) != (images[0].shape, images[0].dtype):
            raise BadInput(f"{path} is {form(image)}, and other slices are {form(images[0])}; make all alike")
        images.append(image)
    pixels = np.stack(images)
    if (pixels == pixels.flat[0]).all():
        raise BadInput(f"{next(iter(contents)).parent}: its slices show nothing: all values are {pixels.flat[0]}")
    if pixels.dtype != np.uint8:
        counts = [np.bincount(pixels[..., channel].ravel(), minlength=2**16) for channel in range(3)]
        windows = [window_of_counts(one) for one in counts]
        pixels = np.stack([narrow(image, windows) for image in images])
    same = {"pre": 0, "post": 2}
    missing = tuple(name for name, at in same.items() if np.array_equal(pixels[..., at], pixels[..., 1]))
    return Read(pixels, Grid(*pixels.shape[:3]), None, missing, hashes)
