"""A series of DICOM, one file a slice, as the bytes of a NIfTI file, so that all else knows one form of a volume.

Shapes: S slices of H rows and W columns. Places are in mm. DICOM's axes point left, back and up; NIfTI's right, front
and up. Source: DICOM PS3.3, C.7.6.2 (Image Plane Module).
"""

import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput

SUFFIXES = {".dcm", ".dicom", ".ima", ""}
MAGIC, PREAMBLE = b"DICM", 128
ADVICE = "convert it to NIfTI, with dcm2niix for example"
UNEVEN = 0.05  # of the distance of slices: more than that apart, one is missing
PARALLEL = 1e-3
PLANE = ("Rows", "Columns", "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient")
SHOWN = (
    "Modality", "SeriesInstanceUID", "StudyInstanceUID", "SeriesDescription", "ProtocolName", "ContrastBolusAgent",
    "NumberOfFrames",
)  # fmt: skip
"""Of a header, what tells series and sequences apart."""


def is_dicom(path: Path) -> bool:
    """Whether a file is one, by its suffix and its first bytes."""
    if path.suffix.lower() not in SUFFIXES:
        return False
    with path.open("rb") as stream:
        return stream.read(PREAMBLE + len(MAGIC))[PREAMBLE:] == MAGIC


def read_tags(path: Path) -> Mapping[str, str]:
    """The values of `SHOWN` that a file has, as text.

    Raises:
        BadInput: it is damaged.
    """
    found = _dataset(path, path, stop_before_pixels=True, specific_tags=list(SHOWN))
    tags = {name: str(found.get(name)).strip() for name in SHOWN if found.get(name) is not None}
    if "SeriesInstanceUID" not in tags:
        raise BadInput(f"{path} says of no series that it belongs to: it is damaged, or no image")
    return tags


def to_nifti(contents: Mapping[Path, bytes]) -> bytes:
    """One volume of all slices of a series, in the order of their places.

    Raises:
        BadInput: a file is damaged, compressed in a way that nobody here reads, or of another form or plane than the
            others; or slices are missing, or lie in one place.
    """
    slices = [(path, _dataset(path, io.BytesIO(content))) for path, content in contents.items()]
    first_path, first = slices[0]
    for path, one in slices:
        _check(path, one)
        if (one.Rows, one.Columns) != (first.Rows, first.Columns):
            raise BadInput(f"{path} is {one.Rows}×{one.Columns} px, and {first_path} {first.Rows}×{first.Columns}")
        for name in ("PixelSpacing", "ImageOrientationPatient"):
            if not np.allclose(_numbers(one, name), _numbers(first, name), rtol=0, atol=PARALLEL):
                raise BadInput(f"{path} has another {name} than {first_path}; {ADVICE}")
    along, down = _numbers(first, "ImageOrientationPatient").reshape(2, 3)  # from column to column, from row to row
    across = np.cross(along, down)
    slices.sort(key=lambda each: float(across @ _numbers(each[1], "ImagePositionPatient")))
    corners = np.array([_numbers(one, "ImagePositionPatient") for _, one in slices])
    places = corners @ across
    gap = _gap(slices, places)
    between_rows, between_columns = _numbers(first, "PixelSpacing")
    aside = np.abs(corners - corners[0] - np.outer(places - places[0], across)).max()
    if aside > UNEVEN * min(between_rows, between_columns):
        raise BadInput(f"{first_path}: slices of its series lie {aside:.3g} mm beside each other; {ADVICE}")
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = along * between_columns, down * between_rows, across * gap
    affine[:3, 3] = _numbers(slices[0][1], "ImagePositionPatient")
    affine[:2] *= -1
    return _written(np.stack([_pixels(*each) for each in slices]), affine)


def _dataset(path: Path, source: Path | io.BytesIO, **options: Any) -> Any:
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    try:
        return dcmread(source, **options)
    except (InvalidDicomError, EOFError, ValueError, KeyError, NotImplementedError) as error:
        raise BadInput(f"{path} is no DICOM file that can be read: {error}") from None


def _check(path: Path, one: Any) -> None:
    if int(one.get("NumberOfFrames") or 1) > 1:
        raise BadInput(f"{path} holds {one.NumberOfFrames} slices in one file; {ADVICE}")
    if missing := [name for name in PLANE if one.get(name) is None]:
        raise BadInput(f"{path} has no {missing[0]}, so its place is not known; {ADVICE}")
    if one.get("PhotometricInterpretation") != "MONOCHROME2":
        raise BadInput(f"{path} is {one.get('PhotometricInterpretation')}, not MONOCHROME2; {ADVICE}")


def _numbers(one: Any, name: str) -> NDArray[np.float64]:
    return np.array([float(value) for value in one[name].value])


def _gap(slices: Iterable[tuple[Path, Any]], places: NDArray[np.float64]) -> float:
    """mm from slice to slice; of a single slice, how thick it is."""
    if len(places) == 1:
        [(_, only)] = slices
        return float(only.get("SpacingBetweenSlices") or only.get("SliceThickness") or 1)
    gaps = np.diff(places)
    typical = float(np.median(gaps))
    for (path, _), gap in zip(slices, gaps, strict=False):
        if typical <= 0 or abs(gap - typical) > UNEVEN * typical:
            raise BadInput(f"{path} lies {gap:.3g} mm before the next slice, and others {typical:.3g} mm; {ADVICE}")
    return typical


def _pixels(path: Path, one: Any) -> NDArray[Any]:
    """H W, in the unit of the scanner; whole numbers where it says nothing of a scale."""
    try:
        pixels: NDArray[Any] = one.pixel_array
    except (AttributeError, ValueError, RuntimeError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(f"{path}: its pixels cannot be read ({reason}); {ADVICE}") from None
    slope, intercept = float(one.get("RescaleSlope") or 1), float(one.get("RescaleIntercept") or 0)
    return pixels if (slope, intercept) == (1, 0) else (pixels * slope + intercept).astype(np.float32)


def _written(values: NDArray[Any], affine: NDArray[np.float64]) -> bytes:
    from nibabel.nifti1 import Nifti1Image

    image = Nifti1Image(values.transpose(2, 1, 0), affine)
    image.header.set_xyzt_units("mm")
    return bytes(image.to_bytes())
