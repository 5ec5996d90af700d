"""Unpack the archive once into arrays, so that training and evaluation read plain memory.

In   archive.zip   see stages.lgg.scans.archive; images H H 3 uint8 (pre-contrast, FLAIR, post-contrast),
                   masks H H uint8 in {0, 255}, all TIFF
Out  images.npy    N S S 3 uint8
     masks.npy     N S S uint8 in {0, 1}
     slices.csv    a row for each slice, in the order of the arrays: by patient, then number

N slices · H px, the side in the archive · S px, the side packed: H, or lgg.pack.side when given
"""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, repeat
from pathlib import Path
from threading import Event
from typing import Annotated
from zipfile import ZipInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput
from stages.lgg.scans.archive import DUPLICATE, Archive, open_archive
from stages.lgg.scans.resize import average, majority
from stages.lgg.tables import write_table
from stages.params import STRICT_KEYS, load
from stages.progress import Progress, progress

Pixels = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class PackParams:
    """The section lgg.pack."""

    side: Annotated[int, Field(ge=16, le=2048)] | None
    """px, the side of the square that slices are resized to; null keeps theirs."""


def pack(archive: Archive, side: int, images: Pixels, masks: Pixels, threads: int) -> pd.DataFrame:
    """Fill `images` (N S S 3) and `masks` (N S S, 0 or 1) from slices of `side` px; return slices.csv.

    An image is resized by area average, halves rounded up; a pixel of a mask is tumour where at least half of
    its area is. Both are sums of integers, so exact on any machine.

    Raises:
        BadInput: a file is damaged, of another shape or type, or a mask holds a value other than 0 and 255;
            up to 20 such problems are named, and the arrays are then not to be used.
    """
    size, n, stopped = images.shape[1], len(archive.slices), Event()
    found: list[list[str]] = [[] for _ in range(n)]

    def fill(first: int, bar: Progress) -> None:
        for row in range(first, n, threads):
            if stopped.is_set():
                return
            scan = archive.slices[row]
            with _noting(found[row]):
                images[row] = average(_read(archive, scan.image, (side, side, 3)), size)
            with _noting(found[row]):
                masks[row] = majority(_tumour(archive, scan.mask, side), size)
            bar.add()

    # zlib, zip's CRC-32 and numpy's copies let go of the GIL. A task a thread, not a slice: Ctrl-C within the pool's
    # `submit` can leave a lock taken that its threads then wait for.
    with progress("pack", n, "slice") as bar, ThreadPoolExecutor(threads) as pool:
        try:
            list(pool.map(fill, range(threads), repeat(bar)))
        finally:
            stopped.set()  # else Ctrl-C would wait for all slices
    if problems := list(chain.from_iterable(found)):
        raise archive.unsound(problems)
    return _table(archive, masks)


@contextmanager
def _noting(problems: list[str]) -> Iterator[None]:
    try:
        yield
    except BadInput as error:
        problems.append(str(error))


def _table(archive: Archive, masks: Pixels) -> pd.DataFrame:
    patients = [scan.patient for scan in archive.slices]
    return pd.DataFrame(
        {
            "slice": range(len(patients)),
            "patient": patients,
            "institution": [patient.split("_")[1] for patient in patients],
            "number": [scan.number for scan in archive.slices],
            "tumour_px": [np.count_nonzero(mask) for mask in masks],
        }
    )


def _side(archive: Archive) -> int:
    """H: the side of the first slice that is a square of three channels; pack holds the others to it."""
    problems: list[str] = []
    for scan in archive.slices:
        with _noting(problems):
            side = max(len(archive.pixels(scan.image)), 1)
            return len(_read(archive, scan.image, (side, side, 3)))
    raise archive.unsound(problems)


def _tumour(archive: Archive, file: ZipInfo, side: int) -> Pixels:
    mask = _read(archive, file, (side, side))
    tumour: NDArray[np.bool_] = mask == 255
    if np.count_nonzero(mask) != np.count_nonzero(tumour):
        raise BadInput(f"{file.filename} holds the value {mask[(mask != 0) & ~tumour][0]}, not only 0 and 255")
    return tumour.view(np.uint8)


def _read(archive: Archive, file: ZipInfo, shape: tuple[int, ...]) -> Pixels:
    pixels = archive.pixels(file)
    if pixels.shape != shape or pixels.dtype != np.uint8:
        found, wanted = ("×".join(map(str, each)) for each in (pixels.shape, shape))
        raise BadInput(f"{file.filename} is {found} {pixels.dtype}, not {wanted} uint8")
    return pixels


def _mapped(path: Path, shape: tuple[int, ...]) -> Pixels:
    """A new .npy file at `path`, mapped: what is written to it goes to disk, and RAM does not grow with it."""
    try:
        array = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape)
        if hasattr(os, "posix_fallocate"):  # to meet a full disk here: a mapped write to one kills the process
            with path.open("r+b") as file:
                os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None
    return array


def main(archive: Path, *, images: Path, masks: Path, slices: Path) -> None:
    """Unpack ARCHIVE, the zip of lgg-download, into two arrays and the table that describes their rows."""
    params = load(PackParams, "lgg.pack")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it warns of is in the error or harmless
    with open_archive(archive) as scans:
        if scans.duplicates:
            print(f"dropped {DUPLICATE}, which duplicates {scans.duplicates} files")
        side, n = _side(scans), len(scans.slices)
        size = params.side or side
        with staged(images, masks, slices) as (images_part, masks_part, slices_part):
            arrays = _mapped(images_part, (n, size, size, 3)), _mapped(masks_part, (n, size, size))
            table = pack(scans, side, *arrays, threads=os.cpu_count() or 1)
            write_table(table, slices_part)
    tumour = int((table["tumour_px"] > 0).sum())
    print(f"packed {table['patient'].nunique()} patients: {n} slices of {size} px, {tumour} with tumour")


if __name__ == "__main__":
    run(main)
