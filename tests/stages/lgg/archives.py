"""Small archives in the layout of Kaggle's, sound ones and bad ones; they are built as bytes, without tifffile."""

import io
import struct
import warnings
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Files = dict[str, bytes]

COUNTS = {"TCGA_CS_4941_19960909": 2, "TCGA_DU_5849_19950405": 12, "TCGA_HT_7602_19951103": 3}
"""Slices by patient; twelve, so that 10 must not sort before 9."""

DUPLICATE = "lgg-mri-segmentation/"


def image(patient: str, number: int, size: int = 16) -> Pixels:
    """(size size 3), different for each slice."""
    seed = [*patient.encode(), number]
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


def mask(number: int, size: int = 16) -> Pixels:
    """(size size) in {0, 255}: `number` - 1 pixels of tumour, so the first slice has none."""
    pixels = np.zeros((size, size), np.uint8)
    pixels.flat[: number - 1] = 255
    return pixels


def tiff(pixels: Pixels, order: str = "<", strip_rows: int = 5, *, extra: Mapping[int, int] | None = None) -> bytes:
    """An uncompressed TIFF as the originals are: strips from byte 8 on, the last one padded, then the directory."""
    height, width, channels = (*pixels.shape, 1)[:3]
    strip = strip_rows * width * channels
    starts = [8 + row // strip_rows * strip for row in range(0, height, strip_rows)]
    body = pixels.tobytes().ljust(strip * len(starts), b"\0")
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("H", [width]),
        257: ("H", [height]),
        258: ("H", [8] * channels),
        259: ("H", [1]),
        262: ("H", [2 if channels > 1 else 1]),
        273: ("I", starts),
        277: ("H", [channels]),
        278: ("H", [strip_rows]),
        279: ("I", [strip] * len(starts)),
        284: ("H", [1]),
        339: ("H", [1] * channels),
    }
    tags |= {tag: ("H", [value]) for tag, value in (extra or {}).items()}
    return _header(order, 8 + len(body)) + body + _directory(order, 8 + len(body), tags)


def _header(order: str, directory: int) -> bytes:
    return {"<": b"II", ">": b"MM"}[order] + struct.pack(f"{order}HI", 42, directory)


def _directory(order: str, at: int, tags: Mapping[int, tuple[str, list[int]]]) -> bytes:
    entries, values = b"", b""
    behind = at + 2 + 12 * len(tags) + 4
    for tag, (code, numbers) in sorted(tags.items()):
        packed = struct.pack(f"{order}{len(numbers)}{code}", *numbers)
        entries += struct.pack(f"{order}HHI", tag, {"H": 3, "I": 4}[code], len(numbers))
        if len(packed) > 4:
            entries += struct.pack(f"{order}I", behind + len(values))
            values += packed
        else:
            entries += packed.ljust(4, b"\0")
    return struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + values


def sound(counts: Mapping[str, int] = COUNTS, size: int = 16) -> Files:
    """The files of kaggle_3m/ by name."""
    files = {"kaggle_3m/data.csv": b"Patient\n", "kaggle_3m/README.md": b"# LGG\n"}
    for patient, count in counts.items():
        for number in range(1, count + 1):
            stem = f"kaggle_3m/{patient}/{patient}_{number}"
            files[f"{stem}.tif"] = tiff(image(patient, number, size))
            files[f"{stem}_mask.tif"] = tiff(mask(number, size))
    return files


def doubled(files: Files) -> Files:
    """`files`, and all of them once more where Kaggle's archive has them."""
    return files | {DUPLICATE + name: content for name, content in files.items()}


def zipped(files: Iterable[tuple[str, bytes]], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """The archive of `files`, which may repeat a name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive, warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Duplicate name", UserWarning)
        for name, content in files:
            archive.writestr(zipfile.ZipInfo(name), content, compression)
    return stream.getvalue()


def write(path: Path, files: Files) -> Path:
    """An archive of `files` at `path`."""
    path.write_bytes(zipped(files.items()))
    return path


def patched(archive: bytes, name: str, offset: int, value: bytes) -> bytes:
    """`archive` with bytes of the directory's entry for `name` replaced, `offset` from where the entry starts."""
    start = archive.index(b"PK\1\2")
    while archive[start + 46 :][: len(name)] != name.encode():
        start = archive.index(b"PK\1\2", start + 4)
    return archive[: start + offset] + value + archive[start + offset + len(value) :]
