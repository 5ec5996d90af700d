"""Folders as a lab might have them: NIfTI patients made by hand, TIFF and PNG files."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import tifffile
from numpy.typing import NDArray

SHAPE = (20, 16, 5)
"""Voxels; slices follow each other along the last axis."""
SPACING = (0.9, 1.1, 5.0)
"""mm"""
LABELS = {"background": 0, "tumour": 1}
CHANNELS = {"0": "T1", "1": "FLAIR", "2": "T1ce", "3": "T2"}


def sequence(patient: int, which: int, shape: tuple[int, ...] = SHAPE, kind: str = "int16") -> NDArray[Any]:
    """Voxels from 0 to 3,000, another for each patient and sequence; 0 in the first row of each slice."""
    voxels = np.random.default_rng([patient, which]).integers(1, 3001, shape)
    voxels[0] = 0
    return voxels.astype(kind)


def lesion(patient: int, shape: tuple[int, ...] = SHAPE, value: int = 1) -> NDArray[np.uint8]:
    """0, and `value` in a block of 6 × 4 × 2 voxels that lies higher by the patient's number."""
    mask = np.zeros(shape, np.uint8)
    mask[3 + patient : 9 + patient, 5:9, 1:3] = value
    return mask


def nifti(
    voxels: NDArray[Any], spacing: Sequence[float] = SPACING, *, unit: str | None = "mm", shift: float = 0
) -> bytes:
    """A NIfTI file of them, not compressed; `shift` mm to the side. Without a unit it says nothing of space.

    The axes go to the back, to the left and up, so that slices lie as pictures do: X is rows, Y columns.
    """
    affine = np.array([[0, -spacing[1], 0, shift], [-spacing[0], 0, 0, 0], [0, 0, spacing[2], 0], [0, 0, 0, 1.0]])
    image = nibabel.Nifti1Image(voxels, affine if unit else None)
    image.header.set_zooms((*spacing, *[1.0] * (voxels.ndim - 3)))
    if unit:
        image.header.set_xyzt_units(unit)
    return bytes(image.to_bytes())


def write(folder: Path, files: Mapping[str, bytes]) -> Path:
    """The files below `folder`, a name that ends in .gz compressed."""
    import gzip

    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(content, mtime=0) if name.endswith(".gz") else content)
    return folder


def bids(patients: int = 5) -> dict[str, bytes]:
    """`patients` of BIDS; the third lacks the image after contrast, the fourth both."""
    files = {"participants.tsv": b"participant_id\n"}
    for patient in range(1, patients + 1):
        name = f"sub-{patient:03}"
        stem = f"{name}/anat/{name}"
        files[f"{stem}_FLAIR.nii.gz"] = nifti(sequence(patient, 1))
        files[f"derivatives/lesions/{name}/anat/{name}_label-lesion_mask.nii.gz"] = nifti(lesion(patient))
        if patient != 4:
            files[f"{stem}_T1w.nii.gz"] = nifti(sequence(patient, 0))
        if patient not in (3, 4):
            files[f"{stem}_ce-GADOLINIUM_T1w.nii.gz"] = nifti(sequence(patient, 2))
    return files


def dataset(channels: Mapping[str, str] = CHANNELS, labels: Mapping[str, Any] = LABELS) -> bytes:
    """nnU-Net's dataset.json."""
    stated = {"channel_names": channels, "labels": labels, "numTraining": 2, "file_ending": ".nii.gz"}
    return json.dumps(stated).encode()


def nnunet(patients: int = 2) -> dict[str, bytes]:
    """`patients` of nnU-Net, with four channels."""
    files = {"dataset.json": dataset()}
    for patient in range(1, patients + 1):
        for channel in range(4):
            files[f"imagesTr/BRATS_{patient:03}_{channel:04}.nii.gz"] = nifti(sequence(patient, channel))
        files[f"labelsTr/BRATS_{patient:03}.nii.gz"] = nifti(lesion(patient))
    return files


def tiff(pixels: NDArray[Any], **options: Any) -> bytes:
    """A TIFF of `pixels`, as tifffile writes it."""
    stream = io.BytesIO()
    colours = "rgb" if pixels.ndim == 3 and pixels.shape[-1] == 3 else "minisblack"
    tifffile.imwrite(stream, pixels, **{"photometric": colours} | options)
    return stream.getvalue()


def png(pixels: NDArray[Any]) -> bytes:
    """A PNG of `pixels`, of 8 or 16 bits."""
    import imagecodecs

    return bytes(imagecodecs.png_encode(pixels))
