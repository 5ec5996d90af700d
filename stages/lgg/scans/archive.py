"""The archive of all patients, read in place: its directory is checked first, then each file as it is read.

What its files are called says whose they are: see stages.lgg.layouts. Kaggle's archive holds everything a second time:
lgg-mri-segmentation/kaggle_3m/... is a packaging error, compared and dropped.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from numpy.typing import NDArray

from stages.errors import BadInput, bad_input
from stages.lgg.formats.png import read_png
from stages.lgg.formats.tiff import read_tiff
from stages.lgg.layouts.patients import Layout, Patient
from stages.lgg.layouts.pictures import DUPLICATE, KAGGLE
from stages.lgg.layouts.recognise import ESCAPE, NOISE, recognise
from stages.lgg.layouts.table import NIFTI

FILE_BYTES = 2**24
"""More than any slice takes unpacked (2,048 × 2,048 × 3 bytes would fit); a file that claims more is a zip bomb."""
VOLUME_BYTES = 2**31
"""Of a NIfTI file."""

ENCRYPTED = 0x1
END_RECORD = b"PK\5\6"
END_BYTES = 22 + 0xFFFF  # the end record and the longest comment behind it
IN_ZIP64 = 0xFFFF  # an end record with this count leaves it to the larger record of ZIP64


@dataclass(frozen=True)
class Archive:
    """An open archive whose directory is sound."""

    path: Path
    zip_file: ZipFile
    patients: tuple[Patient, ...]
    """By name; their files are there, and of a size that can be."""
    duplicates: int
    """Files dropped, each of its original's size and CRC-32."""

    def pixels(self, name: str) -> NDArray[Any]:
        """The TIFF or PNG called `name` as an array, (H W) or (H W C); from any thread.

        Raises:
            BadInput: it is damaged or no such picture; the message names the file, not the archive.
        """
        read = read_png if name.endswith(".png") else read_tiff
        return read(self.read(name), name, FILE_BYTES)

    def read(self, name: str) -> bytes:
        """The whole file called `name`; from any thread.

        Raises:
            BadInput: it is damaged; the message names the file, not the archive.
        """
        return _read(self.zip_file, self.zip_file.getinfo(name))

    def head(self, name: str, count: int) -> bytes:
        """The first `count` bytes of it, or fewer if it has no more; raises as `read`."""
        return _read(self.zip_file, self.zip_file.getinfo(name), count)

    def unsound(self, problems: list[str]) -> BadInput:
        """`problems` found in its files as one error."""
        return _unsound(self.path, problems)


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
    layout = _layout(zip_file, {name: file for name, file in files.items() if name not in copies})
    problems = [
        *_lost(path, entries),
        *_unsafe(entries),
        *_unreadable(files[name] for name in layout.files),
        *_differing(copies, files),
        *layout.problems,
    ]
    if problems:
        raise _unsound(path, problems)
    return Archive(path, zip_file, layout.patients, len(copies))


def _layout(zip_file: ZipFile, files: Mapping[str, ZipInfo]) -> Layout:
    try:
        return recognise(files.keys(), lambda name: _read(zip_file, files[name], FILE_BYTES))
    except BadInput as error:  # a table that cannot be read
        return Layout(problems=[str(error)])


def _read(zip_file: ZipFile, file: ZipInfo, most: int | None = None) -> bytes:
    wanted = file.file_size if most is None else min(file.file_size, most)
    try:
        with zip_file.open(file) as stream:
            content = stream.read(wanted)  # bounded by the checked size, whatever it would unpack to
    except (BadZipFile, RuntimeError, OverflowError, ValueError, EOFError, zlib.error) as error:
        raise BadInput(f"{file.filename} is damaged: {str(error) or 'it ends early'}") from None
    if len(content) != wanted:
        raise BadInput(f"{file.filename} is damaged: it has {len(content)} bytes of {file.file_size}")
    return content


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


def _unreadable(used: Iterable[ZipInfo]) -> Iterator[str]:
    for file in used:
        volume = file.filename.endswith(NIFTI)
        what, most = ("volume", VOLUME_BYTES) if volume else ("slice", FILE_BYTES)
        if file.flag_bits & ENCRYPTED:
            yield f"{file.filename} is encrypted"
        elif file.compress_type not in {ZIP_STORED, ZIP_DEFLATED}:
            yield f"{file.filename} is compressed by method {file.compress_type}; only deflate is read"
        elif file.header_offset < 0:
            yield f"{file.filename} would lie before the archive's first byte"
        elif file.file_size > most:
            yield f"{file.filename} claims {file.file_size} bytes; a {what} has at most {most}"


def _differing(copies: Mapping[str, ZipInfo], files: Mapping[str, ZipInfo]) -> Iterator[str]:
    for name, copy in copies.items():
        original = files.get(KAGGLE + name.removeprefix(DUPLICATE))
        if original is None:
            yield f"{name!r} duplicates no file of {KAGGLE}"
        elif (copy.CRC, copy.file_size) != (original.CRC, original.file_size):
            yield f"{name!r} differs from the file of {KAGGLE} that it duplicates"


def _unsound(path: Path, problems: list[str]) -> BadInput:
    return bad_input(
        f"{path} (set lgg.download.source to another, or dvc repro --force lgg-download)",
        problems,
    )
