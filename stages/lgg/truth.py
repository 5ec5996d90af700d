"""The masks of all patients on the grids of their scans: truth.npz, which the evaluation scores against.

One array a patient, called as the patient is: S H ⌈W/8⌉ uint8, a bit a pixel, the first column the highest bit.

S slices, in the order of their numbers · H W px, as patients.csv has them
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any
from zipfile import ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from stages.errors import BadInput

Bits = NDArray[np.uint8]


class TruthWriter:
    """Writes patients in their order, in whichever order they come; from any thread."""

    def __init__(self, archive: ZipFile) -> None:
        self._archive, self._lock = archive, Lock()
        self._waiting: dict[int, tuple[str, Bits]] = {}
        self._next = 0

    def add(self, place: int, patient: str, bits: Bits) -> None:
        """The masks of the patient who is the `place`-th, from 0: (S H ⌈W/8⌉), as `pack_bits` gives each of them."""
        with self._lock:
            self._waiting[place] = patient, bits
            while (found := self._waiting.pop(self._next, None)) is not None:
                self._write(*found)
                self._next += 1

    def _write(self, patient: str, bits: Bits) -> None:
        entry = ZipInfo(f"{patient}.npy")  # stored, and dated 1980: the same bytes at any time
        with self._archive.open(entry, "w", force_zip64=True) as stream:
            np.lib.format.write_array(stream, bits, allow_pickle=False)


@contextmanager
def write_truth(path: Path) -> Iterator[TruthWriter]:
    """Open a new truth.npz at `path`, to add patients to until the block ends."""
    with ZipFile(path, "w", ZIP_STORED) as archive:
        yield TruthWriter(archive)


def pack_bits(mask: NDArray[np.bool_]) -> Bits:
    """(... H W) to (... H ⌈W/8⌉): a bit a pixel."""
    return np.packbits(mask, axis=-1)


def open_truth(path: Path, patients: pd.DataFrame) -> Mapping[str, NDArray[np.bool_]]:
    """The masks (S H W) of `patients`, the table patients.csv: each is read when it is asked for, and not kept.

    Raises:
        BadInput: no such file, no such archive, or it lacks a patient of the table; when a patient is asked for, that
            the masks are of another shape than the table says.
    """
    return _Truth(path, patients)


class _Truth(Mapping[str, NDArray[np.bool_]]):
    def __init__(self, path: Path, patients: pd.DataFrame) -> None:
        self._path = path
        sizes = zip(patients["height"].tolist(), patients["width"].tolist(), strict=True)
        self._sizes: dict[str, tuple[int, int]] = dict(zip(patients["patient"].tolist(), sizes, strict=True))
        try:
            with ZipFile(path) as archive:
                names = set(archive.namelist())
        except FileNotFoundError:
            raise BadInput(f"{path}: no such file; run dvc repro lgg-pack") from None
        except (BadZipFile, NotImplementedError, OverflowError, ValueError, struct.error) as error:
            raise self._bad(f"no archive of masks ({error})") from None
        if lacking := [patient for patient in self._sizes if f"{patient}.npy" not in names]:
            raise self._bad(f"has no masks of {lacking[0]}")

    def __getitem__(self, patient: str) -> NDArray[np.bool_]:
        height, width = self._sizes[patient]
        bits = self._read(patient)
        shape = height, (width + 7) // 8
        if bits.dtype != np.uint8 or bits.ndim != 3 or bits.shape[1:] != shape:
            raise self._bad(f"its masks of {patient} are {bits.dtype} {bits.shape}, not of {height} × {width} px")
        return np.unpackbits(bits, axis=-1, count=width).view(np.bool_)

    def __contains__(self, patient: object) -> bool:
        return patient in self._sizes  # nothing need be read

    def __iter__(self) -> Iterator[str]:
        return iter(self._sizes)

    def __len__(self) -> int:
        return len(self._sizes)

    def _read(self, patient: str) -> NDArray[Any]:
        try:
            with ZipFile(self._path) as archive, archive.open(f"{patient}.npy") as stream:
                bits: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
                return bits
        except (BadZipFile, NotImplementedError, ValueError, EOFError, zlib.error) as error:
            raise self._bad(f"its masks of {patient} are damaged ({error})") from None

    def _bad(self, problem: str) -> BadInput:
        return BadInput(f"{self._path}: {problem}; run dvc repro lgg-pack")
