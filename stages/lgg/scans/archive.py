"""The archive of the LGG slices, read in place: its directory is checked first, then each file as it is read.

kaggle_3m/<patient>/<patient>_<number>.tif         a slice; the numbers of a patient run 1..N
kaggle_3m/<patient>/<patient>_<number>_mask.tif    its mask
lgg-mri-segmentation/kaggle_3m/...                 the same once more, a packaging error: compared and dropped
"""

import re
import struct
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from numpy.typing import NDArray

from stages.errors import BadInput, bad_input
from stages.lgg.scans.tiff import read_tiff

ROOT = "kaggle_3m/"
DUPLICATE = "lgg-mri-segmentation/kaggle_3m/"
FILE_BYTES = 2**24
"""More than any slice takes unpacked (2,048 × 2,048 × 3 bytes would fit); a file that claims more is a zip bomb."""

TIFF_NAME = re.compile(r"kaggle_3m/(TCGA_[A-Z0-9]{2}_[A-Z0-9]{4}_[0-9]{8})/\1_([1-9][0-9]{0,3})(_mask)?\.tif")
ESCAPE = re.compile(r"^$|^/|^[A-Za-z]:|(^|/)\.\.(/|$)|\\|\0")
NOISE = re.compile(r"(^|/)(__MACOSX/|\.)")
ENCRYPTED = 0x1
END_RECORD = b"PK\5\6"
END_BYTES = 22 + 0xFFFF  # the end record and the longest comment behind it
IN_ZIP64 = 0xFFFF  # an end record with this count leaves it to the larger record of ZIP64

Key = tuple[str, int]  # patient, number


@dataclass(frozen=True)
class Slice:
    """A slice and its mask, where they lie in the archive."""

    patient: str
    number: int
    image: ZipInfo
    mask: ZipInfo


@dataclass(frozen=True)
class Archive:
    """An open archive whose directory is sound."""

    path: Path
    zip_file: ZipFile
    slices: tuple[Slice, ...]
    """By patient, then number."""
    duplicates: int
    """Files dropped, each of its original's size and CRC-32."""

    def pixels(self, file: ZipInfo) -> NDArray[Any]:
        """The TIFF `file` as an array, (H W) or (H W C); from any thread.

        Raises:
            BadInput: it is damaged or no TIFF; the message names the file, not the archive.
        """
        return read_tiff(self._read(file), file.filename, FILE_BYTES)

    def unsound(self, problems: list[str]) -> BadInput:
        """`problems` found in its files as one error."""
        return _unsound(self.path, problems)

    def _read(self, file: ZipInfo) -> bytes:
        try:
            with self.zip_file.open(file) as stream:
                content = stream.read(file.file_size)  # bounded by the checked size, whatever it would unpack to
        except (BadZipFile, NotImplementedError, OverflowError, ValueError, EOFError, zlib.error) as error:
            raise BadInput(f"{file.filename} is damaged: {str(error) or 'it ends early'}") from None
        if len(content) != file.file_size:
            raise BadInput(f"{file.filename} is damaged: it has {len(content)} bytes of {file.file_size}")
        return content


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Open the archive at `path` and check its directory; no pixel is read yet.

    Raises:
        BadInput: no zip archive, or one that is unsafe or incomplete; up to 20 problems are named.
    """
    try:
        zip_file = ZipFile(path)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro lgg-download") from None
    except (BadZipFile, NotImplementedError, OverflowError, ValueError, struct.error) as error:
        raise _unsound(path, [f"not a zip archive, or not a whole one ({error})"]) from None
    with zip_file:
        yield _catalogue(path, zip_file)


def _catalogue(path: Path, zip_file: ZipFile) -> Archive:
    entries = sorted(zip_file.infolist(), key=lambda entry: entry.filename)
    files = {
        entry.filename: entry
        for entry in entries
        if not entry.filename.endswith("/") and not NOISE.search(entry.filename)  # is_dir() fails on an empty name
    }
    copies = {name: file for name, file in files.items() if name.startswith(DUPLICATE)}
    tiffs = [file for name, file in files.items() if name.lower().endswith((".tif", ".tiff")) and name not in copies]
    images, masks = _pairs(tiffs)
    problems = [
        *_lost(path, entries),
        *_unsafe(entries),
        *_unreadable(tiffs),
        *_differing(copies, files),
        *_incomplete(images, masks),
    ]
    if problems:
        raise _unsound(path, problems)
    slices = tuple(Slice(*key, images[key], masks[key]) for key in sorted(images))
    return Archive(path, zip_file, slices, len(copies))


def _pairs(tiffs: Iterable[ZipInfo]) -> tuple[dict[Key, ZipInfo], dict[Key, ZipInfo]]:
    images: dict[Key, ZipInfo] = {}
    masks: dict[Key, ZipInfo] = {}
    for file in tiffs:
        if match := TIFF_NAME.fullmatch(file.filename):
            patient, number, mask = match.groups()
            (masks if mask else images)[patient, int(number)] = file
    return images, masks


def _lost(path: Path, entries: Sequence[ZipInfo]) -> Iterator[str]:
    """zipfile ends early and in silence at an entry whose stated lengths are damaged; the end record has the count."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - END_BYTES))
        tail = file.read()
    (stated,) = struct.unpack_from("<H", tail, tail.rfind(END_RECORD) + 10)
    if stated not in {len(entries), IN_ZIP64}:
        yield f"its directory should have {stated} entries and has {len(entries)}"


def _unsafe(entries: Iterable[ZipInfo]) -> Iterator[str]:
    names = Counter(entry.orig_filename for entry in entries)
    yield from (f"{name!r} is not a path inside the archive" for name in names if ESCAPE.search(name))
    yield from (f"{name!r} stands in it {times} times" for name, times in names.items() if times > 1)


def _unreadable(tiffs: Iterable[ZipInfo]) -> Iterator[str]:
    for file in tiffs:
        if not TIFF_NAME.fullmatch(file.filename):
            yield f"{file.filename!r} is not named kaggle_3m/<patient>/<patient>_<number>.tif or ..._mask.tif"
        elif file.flag_bits & ENCRYPTED:
            yield f"{file.filename} is encrypted"
        elif file.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            yield f"{file.filename} is compressed by method {file.compress_type}; only deflate is read"
        elif file.header_offset < 0:
            yield f"{file.filename} would lie before the archive's first byte"
        elif file.file_size > FILE_BYTES:
            yield f"{file.filename} claims {file.file_size} bytes; a slice has at most {FILE_BYTES}"


def _differing(copies: Mapping[str, ZipInfo], files: Mapping[str, ZipInfo]) -> Iterator[str]:
    for name, copy in copies.items():
        original = files.get(ROOT + name.removeprefix(DUPLICATE))
        if original is None:
            yield f"{name!r} duplicates no file of {ROOT}"
        elif (copy.CRC, copy.file_size) != (original.CRC, original.file_size):
            yield f"{name!r} differs from the file of {ROOT} that it duplicates"


def _incomplete(images: Mapping[Key, ZipInfo], masks: Mapping[Key, ZipInfo]) -> Iterator[str]:
    numbers: dict[str, set[int]] = defaultdict(set)
    for patient, number in sorted(images.keys() | masks.keys()):
        numbers[patient].add(number)
        if (patient, number) not in images or (patient, number) not in masks:
            yield f"{patient}_{number} has no {'mask' if (patient, number) in images else 'image'}"
    for patient, found in numbers.items():
        if gaps := set(range(1, max(found))) - found:
            yield f"{patient} has slices up to {max(found)}, but none numbered {min(gaps)}"
    if not numbers:
        yield f"no slice of any patient in {ROOT}"


def _unsound(path: Path, problems: list[str]) -> BadInput:
    return bad_input(
        f"{path} (set lgg.download.source to another, or dvc repro --force lgg-download)",
        problems,
    )
