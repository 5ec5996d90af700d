"""Unpack the archive once into arrays, so that training and evaluation read plain memory.

In   archive.zip   see stages.lgg.layouts; of each patient three sequences (pre-contrast, FLAIR, post-contrast) and a
                   mask, H W px, as TIFF, PNG or NIfTI of 8 bits or more
Out  images.npy    N S S 3 uint8
     masks.npy     N S S uint8 in {0, 1}
     slices.csv    a row for each slice, in the order of the arrays: by patient, then number
     patients.csv  a row for each patient, in the same order: H, W, mm a pixel, missing sequences
     truth.npz     the masks on the grids of the scans, see stages.lgg.truth

N slices · S px, the side packed: L = max(H, W), or lgg.pack.side when given
"""

import logging
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate, chain, repeat
from pathlib import Path
from threading import Event
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadParameters
from stages.lgg.layouts.patients import Patient, Stack
from stages.lgg.layouts.pictures import DUPLICATE
from stages.lgg.scans import stacks, volumes
from stages.lgg.scans.archive import Archive, open_archive
from stages.lgg.scans.geometry import pad
from stages.lgg.scans.resize import average, majority
from stages.lgg.scans.values import Grid, Mask, Pixels
from stages.lgg.tables import SPACING, write_table
from stages.lgg.truth import TruthWriter, pack_bits, write_truth
from stages.params import STRICT_KEYS, load
from stages.progress import Progress, progress

MOST_THREADS = 8
"""Each holds a patient, where the sequences are volumes."""


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class PackParams:
    """The section lgg.pack."""

    side: Annotated[int, Field(ge=16, le=2048)] | None
    """px, the side of the square that slices are resized to; null keeps theirs, which must then be one."""


def measure(archive: Archive) -> list[Grid]:
    """The grid of each patient.

    Raises:
        BadInput: a patient has none that can be told; up to 20 problems are named.
    """
    problems = list[str]()
    grids = [_measured(archive, patient, problems) for patient in archive.patients]
    if problems:
        raise archive.unsound(problems)
    return [grid for grid in grids if grid is not None]


def pack(
    archive: Archive, grids: Sequence[Grid], images: Pixels, masks: Pixels, truth: TruthWriter, threads: int
) -> list[str]:
    """Fill `images` (N S S 3), `masks` (N S S, 0 or 1) and `truth`; return the missing sequences of each patient.

    A slice is padded with 0 to a square. An image is resized by area average, halves rounded up; a pixel of a mask is
    tumour where at least half of its area is. Both are sums of integers, so exact on any machine. A sequence is missing
    if FLAIR stands in its place in every slice.

    Raises:
        BadInput: a file is damaged, of another shape or type, or a mask does not say clearly what is tumour;
            up to 20 such problems are named, and the arrays are then not to be used.
    """
    size, count, stopped = images.shape[1], len(grids), Event()
    starts = [0, *accumulate(grid.slices for grid in grids)]
    found: list[list[str]] = [[] for _ in grids]
    missing = [""] * count

    def fill(first: int, bar: Progress) -> None:
        for place in range(first, count, threads):
            patient, grid, bits = archive.patients[place], grids[place], []
            absent = {"pre": True, "post": True}
            for row, (image, mask) in enumerate(_slices(archive, patient, grid, found[place]), starts[place]):
                if stopped.is_set():
                    return
                images[row] = average(pad(image, grid.side), size)
                masks[row] = majority(pad(mask.view(np.uint8), grid.side), size)
                bits.append(pack_bits(mask))
                _compare(image, absent)
                bar.add()
            missing[place] = " ".join(name for name, still in absent.items() if still)
            if not found[place]:
                truth.add(place, patient.patient, np.stack(bits))

    # zlib, zip's CRC-32 and numpy's copies let go of the GIL. A task a thread, not a patient: Ctrl-C within the pool's
    # `submit` can leave a lock taken that its threads then wait for.
    with progress("pack", starts[-1], "slice") as bar, ThreadPoolExecutor(threads) as pool:
        try:
            list(pool.map(fill, range(threads), repeat(bar)))
        finally:
            stopped.set()  # else Ctrl-C would wait for all slices
    if problems := list(chain.from_iterable(found)):
        raise archive.unsound(problems)
    return missing


def _measured(archive: Archive, patient: Patient, problems: list[str]) -> Grid | None:
    if isinstance(patient, Stack):
        return stacks.measure(archive, patient, problems)
    return volumes.measure(archive, patient, problems)


def _slices(archive: Archive, patient: Patient, grid: Grid, problems: list[str]) -> Iterator[tuple[Pixels, Mask]]:
    if isinstance(patient, Stack):
        return stacks.read(archive, patient, grid, problems)
    return volumes.read(archive, patient, grid, problems)


def _compare(image: Pixels, absent: dict[str, bool]) -> None:
    """Note which sequences of `image` (H W 3) are not FLAIR."""
    for name, channel in (("pre", 0), ("post", 2)):
        absent[name] = absent[name] and np.array_equal(image[..., channel], image[..., 1])


def _slice_table(archive: Archive, grids: Sequence[Grid], masks: Pixels) -> pd.DataFrame:
    of_slices = [
        (patient, number)
        for patient, grid in zip(archive.patients, grids, strict=True)
        for number in range(1, grid.slices + 1)
    ]
    return pd.DataFrame(
        {
            "slice": range(len(of_slices)),
            "patient": [patient.patient for patient, _ in of_slices],
            "institution": [patient.institution for patient, _ in of_slices],
            "number": [number for _, number in of_slices],
            "tumour_px": [np.count_nonzero(mask) for mask in masks],
        }
    )


def _patient_table(archive: Archive, grids: Sequence[Grid], missing: Sequence[str]) -> pd.DataFrame:
    unknown = (float("nan"),) * 3
    spacing = np.array([grid.spacing_mm or unknown for grid in grids], np.float64)
    return pd.DataFrame(
        {
            "patient": [patient.patient for patient in archive.patients],
            "institution": [patient.institution for patient in archive.patients],
            "height": [grid.height for grid in grids],
            "width": [grid.width for grid in grids],
            **{name: spacing[:, axis] for axis, name in enumerate(SPACING)},
            "missing": missing,
        }
    )


def _size(archive: Archive, grids: Sequence[Grid], side: int | None) -> int:
    """S, the side to pack; without `side`, that of all slices."""
    first = {grid.side: patient.patient for patient, grid in zip(archive.patients, grids, strict=True)}
    if side is None and len(first) > 1:
        (low, one), *_, (high, other) = sorted(first.items())
        sizes = f"slices are from {low} px ({one}) to {high} px ({other}) a side"
        raise BadParameters(
            f"params.yaml: lgg.pack.side is null, but {sizes}; set it to the side to resize all to, in px"
        )
    return side or grids[0].side


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


def main(archive: Path, *, images: Path, masks: Path, slices: Path, patients: Path, truth: Path) -> None:
    """Unpack ARCHIVE, the zip of lgg-download, into arrays and tables that describe their rows and patients."""
    params = load(PackParams, "lgg.pack")
    logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what it warns of is in the error or harmless
    with open_archive(archive) as scans:
        if scans.duplicates:
            print(f"dropped {DUPLICATE}, which duplicates {scans.duplicates} files")
        grids = measure(scans)
        size, n = _size(scans, grids, params.side), sum(grid.slices for grid in grids)
        with staged(images, masks, slices, patients, truth) as (images_part, masks_part, *tables, truth_part):
            arrays = _mapped(images_part, (n, size, size, 3)), _mapped(masks_part, (n, size, size))
            with write_truth(truth_part) as writer:
                missing = pack(scans, grids, *arrays, writer, threads=min(os.cpu_count() or 1, MOST_THREADS))
            table = _slice_table(scans, grids, arrays[1])
            for content, part in zip((table, _patient_table(scans, grids, missing)), tables, strict=True):
                write_table(content, part)
    _tell(missing)
    tumour = int((table["tumour_px"] > 0).sum())
    print(f"packed {len(grids)} patients: {n} slices of {size} px, {tumour} with tumour")


def _tell(missing: Sequence[str]) -> None:
    counts = {name: sum(name in one.split() for one in missing) for name in ("pre", "post")}
    if told := " and ".join(f"{name}-contrast of {count}" for name, count in counts.items() if count):
        print(f"FLAIR stands in for sequences that are missing: {told} patients")


if __name__ == "__main__":
    run(main)
