"""Volumes in NIfTI files, .nii and .nii.gz, read by nibabel.

X Y Z voxels, along the axes of the file
"""

import gzip
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput

HEAD_BYTES = 1 << 14
"""As many of a file hold its header, compressed or not."""
HEADER_BYTES = 544
BEHIND_BYTES = 1 << 16
"""Read past the last voxel, where the checksum of a compressed file stands."""
GZIP = b"\x1f\x8b"
CLOSE = 0.01
"""By how much of itself a spacing may differ between two places that tell it."""
SQUARE = 1e-4
"""By how much of itself the volume of a voxel with axes at right angles may be off, which are stored in 32 bits."""
FLAT = 0.01
"""Of the volume of a voxel with axes at right angles: less is no volume."""
TO_MM = {"mm": 1.0, "meter": 1e3, "micron": 1e-3, "unknown": 1.0}


@dataclass(frozen=True)
class Header:
    """What a NIfTI file says of its volume."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    """From voxel to voxel along each axis."""
    voxel_mm3: float
    """The volume of a voxel; less than the product of the spacing where the axes are not at right angles."""
    spacing_known: bool
    """Whether the file says in which unit, or where the volume lies; else the spacing is of no known unit."""
    affine: NDArray[np.float64]
    """From voxels to places, in the unit of the file."""
    mm: float
    """That unit; 1 where the file names none."""
    placed: bool
    """Whether the file says where the volume lies in the patient; else the affine is no more than the spacing."""
    raw: Any
    """nibabel's own."""


def read_header(head: bytes, name: str) -> Header:
    """The header in the first bytes of a file.

    Raises:
        BadInput: it is no NIfTI, or not of one volume of numbers; the message names `name`.
    """
    try:
        start = zlib.decompressobj(31).decompress(head, HEADER_BYTES) if head[:2] == GZIP else head
        raw = _parsed(start)
        shape = tuple(int(length) for length in raw.get_data_shape())
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        kind = raw.get_data_dtype().kind
        unit = raw.get_xyzt_units()[0]
        spacing = [round(float(length) * TO_MM[unit], 6) for length in raw["pixdim"][1:4]]
        affine = np.array(raw.get_best_affine(), np.float64)
        placed = bool(raw["qform_code"] > 0 or raw["sform_code"] > 0)
        first_byte = int(raw.get_data_offset())  # no number at all in some damaged files
    except Exception:  # nibabel meets a damaged file with whatever its bytes lead to
        raise BadInput(f"{name} is no NIfTI file that can be read: it is cut short or damaged") from None
    if len(shape) != 3:
        raise BadInput(f"{name} is {len(shape)}-D ({'×'.join(map(str, shape))}); a sequence is one volume, 3-D")
    if 0 in shape:
        raise BadInput(f"{name} is empty: {'×'.join(map(str, shape))} voxels")
    if kind not in "iuf":
        raise BadInput(f"{name} has voxels of {raw.get_data_dtype()}; save it as whole or real numbers")
    if first_byte < (544 if int(raw["sizeof_hdr"]) == 540 else 352):
        raise BadInput(f"{name} says that its voxels begin at byte {first_byte}, within its header; it is damaged")
    if not all(0 < length < np.inf for length in spacing) or not np.isfinite(affine).all():
        raise BadInput(f"{name} says that its voxels are {' × '.join(map(str, spacing))} mm; correct its header")
    mm3 = float(np.prod(spacing))
    if placed:
        axes = affine[:3, :3] * TO_MM[unit]
        if not np.allclose(found := np.linalg.norm(axes, axis=0), spacing, rtol=CLOSE):
            told, placed_at = (" × ".join(f"{length:.4g}" for length in some) for some in (spacing, found))
            raise BadInput(f"{name} says that its voxels are {told} mm, and places them {placed_at} mm apart; mend it")
        skewed = float(abs(np.linalg.det(axes)))
        if skewed < FLAT * mm3:
            raise BadInput(f"{name} places its voxels in one plane; correct its header")
        mm3 = mm3 if np.isclose(skewed, mm3, rtol=SQUARE) else skewed
    known = placed or unit != "unknown"
    voxels, between = (shape[0], shape[1], shape[2]), (spacing[0], spacing[1], spacing[2])
    return Header(voxels, between, mm3, known, affine, TO_MM[unit], placed, raw)


def read_voxels(content: bytes, name: str, most_bytes: int) -> NDArray[Any]:
    """The volume (X Y Z) of the file `content`: its type as stored, or float64 where the file says how to scale it.

    Raises:
        BadInput: as `read_header`; it is damaged, would take more than `most_bytes`, or holds NaN or infinity.
    """
    header = read_header(content[:HEAD_BYTES], name)
    start = int(header.raw.get_data_offset())
    size = start + int(np.prod(header.shape)) * header.raw.get_data_dtype().itemsize
    if start < 0 or size > most_bytes:
        raise BadInput(f"{name} claims {size} bytes; a volume has at most {most_bytes}")
    try:
        if content[:2] == GZIP:
            with gzip.GzipFile(fileobj=io.BytesIO(content)) as stream:
                content = stream.read(size + BEHIND_BYTES)
    except (EOFError, OSError, zlib.error):
        raise BadInput(f"{name} is damaged, or cut short: it cannot be unpacked") from None
    if len(content) < size:
        raise BadInput(f"{name} is cut short: it has {len(content)} bytes of {size}")
    try:
        voxels: NDArray[Any] = np.asarray(header.raw.data_from_fileobj(io.BytesIO(content)))
    except Exception:  # as above
        raise BadInput(f"{name} is no NIfTI file that can be read: it is damaged") from None
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise BadInput(f"{name} holds a value that is no finite number; replace NaN and infinity, by 0 for example")
    return voxels.reshape(header.shape)


def _parsed(start: bytes) -> Any:
    """The header, of NIfTI-1 or -2; nibabel is neither to correct what it finds wrong nor to print it."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    second = 540 in struct.unpack("<i", start[:4]) + struct.unpack(">i", start[:4])  # the length of the header
    raw: Any = Nifti2Header(start[:540], check=False) if second else Nifti1Header(start[:348], check=False)
    if raw["magic"].item()[:3] not in (b"n+1", b"n+2"):
        raise ValueError("no single file")
    return raw
