"""A synthetic stand-in for the LGG archive, so that the pipeline runs without the real patients.

Out: the bytes of a zip archive laid out as Kaggle's is: kaggle_3m/<patient>/<patient>_<n>.tif (pre-contrast, FLAIR,
post-contrast) and ..._<n>_mask.tif, uncompressed, with data.csv and README.md beside them, and all of it a second time
under lgg-mri-segmentation/.

stages.lgg.source.phantom draws the patients. Nothing but stages.lgg.source.hash_random is random, so every machine
makes the same bytes.
"""

import io
import struct
import zipfile
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stages.lgg.source.hash_random import HashRandom
from stages.lgg.source.phantom import draw

INSTITUTIONS = ("DU", "HT", "CS", "DU", "FG", "HT", "DU", "CS", "HT", "EZ")
CLINICAL = {
    "RNASeqCluster": (1, 4), "MethylationCluster": (1, 5), "miRNACluster": (1, 4), "CNCluster": (1, 3),
    "RPPACluster": (1, 4), "OncosignCluster": (1, 3), "COCCluster": (1, 3), "histological_type": (1, 3),
    "neoplasm_histologic_grade": (1, 2), "tumor_tissue_site": (1, 1), "laterality": (1, 3), "tumor_location": (1, 6),
    "gender": (1, 2), "age_at_initial_pathologic": (20, 75), "race": (1, 3), "ethnicity": (1, 2), "death01": (0, 1),
}  # fmt: skip
README = """# Synthetic stand-in for the LGG segmentation data set

No patient is shown here: gliaflow made these images by integer arithmetic, in the layout of the archive that Kaggle
serves as mateuszbuda/lgg-mri-segmentation. `data.csv` is invented as well.
"""


def sample_archive(patients: int = 110, size: int = 64) -> bytes:
    """A zip archive of `patients` synthetic patients with 6 to 12 slices each, `size` px wide and high.

    One patient in eleven lacks the post-contrast sequence, six of ten among these the pre-contrast one as well; FLAIR
    stands in. Every patient has a lesion; it shows on about 35 % of all slices and covers 1 % of all pixels.
    """
    randoms = [HashRandom(patient) for patient in range(patients)]
    files = [("README.md", README.encode()), ("data.csv", _clinical(randoms))]
    for random in randoms:
        files += _slices(random, size)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for folder in ("", "lgg-mri-segmentation/"):
            for name, content in files:
                entry = zipfile.ZipInfo(f"{folder}kaggle_3m/{name}")  # stored, and dated 1980
                entry.create_system, entry.external_attr = 3, 0o644 << 16
                archive.writestr(entry, content)
    return buffer.getvalue()


def _slices(random: HashRandom, size: int) -> Iterator[tuple[str, bytes]]:
    date = random.between("year", 1990, 2005), random.between("month", 1, 12), random.between("day", 1, 28)
    name = "{}_{}{:02}{:02}".format(_name(random), *date)
    for number, (image, mask) in enumerate(zip(*draw(random, size), strict=True), 1):
        yield f"{name}/{name}_{number}.tif", _tiff(image)
        yield f"{name}/{name}_{number}_mask.tif", _tiff(mask)


def _name(random: HashRandom) -> str:
    return f"TCGA_{INSTITUTIONS[random.patient % len(INSTITUTIONS)]}_{random.patient + 1:04}"


def _tiff(pixels: NDArray[np.uint8]) -> bytes:
    """(H W) or (H W 3) as the originals are: an 8-byte header, the bare pixels, then the directory."""
    height, width = pixels.shape[:2]
    samples = pixels.size // (height * width)
    body = pixels.tobytes() + bytes(pixels.size % 2)  # the directory starts at an even offset
    directory, count, short, long = 8 + len(body), 10, 3, 4
    depths, photometric = (8, 1) if samples == 1 else (directory + 2 + 12 * count + 4, 2)
    tags = (
        (256, short, 1, width), (257, short, 1, height), (258, short, samples, depths), (259, short, 1, 1),
        (262, short, 1, photometric), (273, long, 1, 8), (277, short, 1, samples), (278, short, 1, height),
        (279, long, 1, pixels.size), (284, short, 1, 1),
    )  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    end = struct.pack("<I3H", 0, 8, 8, 8)  # no further directory; the depths of three samples
    return struct.pack("<2sHI", b"II", 42, directory) + body + struct.pack("<H", count) + entries + end


def _clinical(randoms: list[HashRandom]) -> bytes:
    """data.csv: a row a patient, clusters and clinical data as codes, about one value in ten unknown."""
    rows = [["Patient", *CLINICAL]]
    for random in randoms:
        known = {column for column in CLINICAL if random.between(f"{column} known", 1, 10) > 1}
        values = [str(random.between(column, *CLINICAL[column])) if column in known else "" for column in CLINICAL]
        rows.append([_name(random), *values])
    return "".join(",".join(row) + "\n" for row in rows).encode()
