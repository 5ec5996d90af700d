"""Scans without masks, and networks to use on them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from stages.lgg.unet.checkpoint import save_unet
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.folders import tiff, write
from tests.stages.lgg.models import about

Make = Callable[[Path, str, NDArray[Any]], Path]
NETWORK = Network(width=8, depth=2, norm="batch", dropout=0.0)
SPACING = (0.9, 1.1, 5.0)
"""mm"""
OBLIQUE = np.array([[-1.0, 0, 0, 90], [0, -1, 0, 12], [0, 0, 1, 7.5], [0, 0, 0, 1]])
"""X to the left, Y to the back and Z up, tilted."""
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [17, -9, 14], degrees=True).as_matrix() @ OBLIQUE[:3, :3] * SPACING


def network(path: Path, seed: int = 1, side: int = 16, **known: Any) -> Path:
    """A network of random weights, which finds tumour in about half of all pixels."""
    torch.manual_seed(seed)
    unet = UNet(NETWORK).eval()
    with torch.no_grad():
        bias = [one for one in unet.parameters() if one.shape == (1,)][-1]  # of the last layer
        bias.sub_(unet(torch.rand(4, 3, side, side)).median())
    path.parent.mkdir(parents=True, exist_ok=True)
    save_unet(path, NETWORK, unet.state_dict(), 1, about(side=side, **known))
    return path


def pixels(seed: int = 1, shape: tuple[int, ...] = (5, 20, 16)) -> NDArray[np.uint8]:
    """S H W 3."""
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def volumes(folder: Path, name: str, stack: NDArray[Any], **left_out: bool) -> Path:
    """S H W 3 as three NIfTI files X Y Z in BIDS's names, with an oblique affine, but those that are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for at, (what, suffix) in enumerate({"pre": "T1w", "flair": "FLAIR", "post": "ce-GD_T1w"}.items()):
        if not left_out.get(what):
            image = nibabel.Nifti1Image(stack[..., at].transpose(2, 1, 0), OBLIQUE)
            image.header.set_xyzt_units("mm")
            image.to_filename(folder / f"{name}_{suffix}.nii.gz")
    return folder


def study(folder: Path, stack: NDArray[Any], affine: NDArray[np.float64] = OBLIQUE, **changed: Any) -> Path:
    """S H W 3 as three DICOM series, each in a folder, with files in no order; `affine` is that of NIfTI, X Y Z."""
    described = {"pre": "Ax T1 SE", "flair": "Ax T2 FLAIR", "post": "Ax T1 SE +C"}
    for at, (what, description) in enumerate(described.items()):
        place = folder / what
        place.mkdir(parents=True)
        for number, pixels in enumerate(stack[..., at]):
            one = dicom_slice(pixels, affine, number)
            one.SeriesDescription, one.SeriesInstanceUID = description, f"1.2.3.{at + 1}"
            one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{at + 1}.{number + 1}"
            for name, value in changed.items():
                setattr(one, name, value)
            one.save_as(place / f"IM{(7 * number) % len(stack):04d}", enforce_file_format=True)
    return folder


def dicom_slice(pixels: NDArray[Any], affine: NDArray[np.float64], number: int) -> Any:
    """Slice `number` (H W) of a volume with this affine of NIfTI."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

    turned = np.diag([-1.0, -1, 1, 1]) @ affine  # DICOM's axes point left and back
    along, down = turned[:3, 0], turned[:3, 1]
    spacing = [float(np.linalg.norm(axis)) for axis in (down, along)]  # from row to row, from column to column
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, MRImageStorage
    one: Any = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    one.SOPClassUID, one.Modality, one.StudyInstanceUID, one.PatientID = MRImageStorage, "MR", "1.2.3", "secret"
    one.Rows, one.Columns = pixels.shape
    one.PixelSpacing = [f"{value:.12g}" for value in spacing]
    axes = [*(along / spacing[1]), *(down / spacing[0])]
    one.ImageOrientationPatient = [f"{value:.12g}" for value in axes]
    one.ImagePositionPatient = [f"{value:.12g}" for value in turned[:3] @ [0, 0, number, 1]]
    one.SamplesPerPixel, one.PhotometricInterpretation, one.PixelRepresentation = 1, "MONOCHROME2", 0
    one.BitsAllocated = one.BitsStored = 8 * pixels.itemsize
    one.HighBit = one.BitsStored - 1
    one.PixelData = pixels.tobytes()
    one["PixelData"].VR = "OB" if pixels.itemsize == 1 else "OW"
    return one


def slices(folder: Path, name: str, stack: NDArray[Any]) -> Path:
    """S H W 3 as a TIFF a slice."""
    return write(folder, {f"{name}_{number}.tif": tiff(one) for number, one in enumerate(stack, 1)})


def volume(path: Path) -> Any:
    """A NIfTI file, as nibabel reads it."""
    return nibabel.load(path)
