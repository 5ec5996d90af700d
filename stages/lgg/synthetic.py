"""A synthetic stand-in for the LGG archive, so that the pipeline runs without the real patients.

Out: the bytes of a zip archive laid out as Kaggle's is: kaggle_3m/<patient>/<patient>_<n>.tif (pre-contrast, FLAIR,
post-contrast) and ..._<n>_mask.tif, uncompressed, with data.csv and README.md beside them, and all of it a second time
under lgg-mri-segmentation/.

A patient is a short stack of slices through an invented head: scalp, skull, cortex, white matter, ventricles, and one
lesion, bright in FLAIR and a little dark before contrast. What a threshold would mistake for it is there too: bright
scalp, bright caps on the ventricles, bright dots in the white matter, the coil's bias, each scanner's own gain.
All arithmetic is on integers and chance is a hash of patient and purpose, so every machine makes the same bytes.

Shapes: N slices, H rows, W columns, H = W = size. Lengths are in 1/1024 of half the field of view; fields (positive
inside a structure) and weights are in 1/1024; intensities in 1/64 of a grey level.
"""

import hashlib
import io
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]
Greys = tuple[int, int, int]  # pre-contrast, FLAIR, post-contrast

ONE = 1024
GREY = 64
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
    chances = [_Chance(patient) for patient in range(patients)]
    files = [("README.md", README.encode()), ("data.csv", _clinical(chances))]
    for chance in chances:
        files += _slices(chance, size)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for folder in ("", "lgg-mri-segmentation/"):
            for name, content in files:
                entry = zipfile.ZipInfo(f"{folder}kaggle_3m/{name}")  # stored, and dated 1980
                entry.create_system, entry.external_attr = 3, 0o644 << 16
                archive.writestr(entry, content)
    return buffer.getvalue()


@dataclass(frozen=True)
class _Chance:
    """What is random about one patient; a draw depends on its name alone, not on the draws before it."""

    patient: int

    def octets(self, name: str, count: int) -> Ints:
        digest = hashlib.shake_128(f"{self.patient} {name}".encode()).digest(count)
        return np.frombuffer(digest, np.uint8).astype(np.int64)

    def between(self, name: str, low: int, high: int) -> int:
        """An integer from `low` to `high`, both included."""
        digest = hashlib.shake_128(f"{self.patient} {name}".encode()).digest(8)
        return low + int.from_bytes(digest, "big") % (high - low + 1)

    def smooth(self, name: str, shape: tuple[int, ...], cells: int) -> Ints:
        """Value noise (N H W) in [-ONE, ONE]: octets on a lattice of `cells` a side, drawn out to `shape`."""
        values = self.octets(name, (cells + 1) ** 3).reshape((cells + 1,) * 3) * 256
        for axis, length in enumerate(shape):
            values = _drawn_out(values, axis, length)
        return (values - 128 * 256) * ONE // (128 * 256)


@dataclass(frozen=True)
class _Anatomy:
    """The structures of one head as fields (N H W)."""

    head: Ints
    brain: Ints
    white: Ints
    ventricles: Ints
    caps: Ints
    dots: Ints
    lesion: Ints


def _slices(chance: _Chance, size: int) -> Iterator[tuple[str, bytes]]:
    date = chance.between("year", 1990, 2005), chance.between("month", 1, 12), chance.between("day", 1, 28)
    name = "{}_{}{:02}{:02}".format(_name(chance), *date)
    anatomy = _anatomy(chance, (chance.between("slices", 6, 12), size, size))
    for number, (image, mask) in enumerate(zip(_scan(chance, anatomy), _reading(chance, anatomy), strict=True), 1):
        yield f"{name}/{name}_{number}.tif", _tiff(image)
        yield f"{name}/{name}_{number}_mask.tif", _tiff(mask)


def _name(chance: _Chance) -> str:
    return f"TCGA_{INSTITUTIONS[chance.patient % len(INSTITUTIONS)]}_{chance.patient + 1:04}"


def _anatomy(chance: _Chance, shape: tuple[int, int, int]) -> _Anatomy:
    z = _axis(shape[0])[:, None, None]
    y = _axis(shape[1])[:, None] - chance.between("centre y", -60, 60)
    x = _axis(shape[2]) - chance.between("centre x", -60, 60) + y * chance.between("tilt", -160, 160) // ONE
    radii = chance.between("depth", 1250, 1500), chance.between("height", 820, 930), chance.between("width", 690, 790)
    head = _ellipsoid((z, y, x), radii) + chance.smooth("outline", shape, 4) * 40 // ONE
    folds = chance.smooth("folds", shape, 11)
    brain = head - 290 + folds * 60 // ONE
    spread = chance.between("spread", 60, 120)
    ventricles = _ellipsoid((z, y - 40, abs(x) - spread), (620, chance.between("horns", 220, 330), spread))
    ventricles += chance.smooth("ventricles", shape, 6) * 250 // ONE
    tissue = np.minimum(brain, -ventricles)
    return _Anatomy(
        head=head,
        brain=brain,
        white=head - 420 + folds * 220 // ONE,
        ventricles=ventricles,
        caps=np.minimum(ventricles + chance.between("caps", 150, 800), abs(y - 40) - 130),
        dots=np.minimum(_dots(chance, z, y, x), tissue),
        lesion=np.minimum(_lesion(chance, z, y, x) + chance.smooth("border", shape, 7) * 700 // ONE, tissue * 4),
    )


def _scan(chance: _Chance, anatomy: _Anatomy) -> Bytes:
    """The images (N H W 3)."""
    image = np.zeros((*anatomy.head.shape, 3), np.int64)
    lesion, flair = anatomy.lesion, chance.between("contrast", 142, 185)
    _paint(image, anatomy.head, 60, (150, chance.between("scalp", 120, 190), 160))
    _paint(image, anatomy.head - 130, 50, (22, 18, 24))
    _paint(image, anatomy.head - 230, 50, (46, 40, 48))
    _paint(image, anatomy.brain, 60, (90, 110, 98))
    _paint(image, anatomy.white, 120, (118, 90, 124))
    _paint(image, anatomy.caps, 260, (108, chance.between("cap", 110, 165), 112))
    _paint(image, anatomy.ventricles, 160, (44, 34, 46))
    _paint(image, anatomy.dots, 300, (110, 165, 118))
    _paint(image, lesion, 240, (chance.between("dark", 72, 94), flair, chance.between("light", 84, 110)))
    if chance.between("enhancing", 1, 3) == 1:
        _paint(image, np.minimum(lesion - 200, 700 - lesion), 200, (90, flair, 190))
    images = np.clip(_received(chance, image) // GREY, 0, 255).astype(np.uint8)
    if chance.patient % 11 == 4:
        images[..., 2] = images[..., 1]
        if chance.patient // 11 % 10 < 6:
            images[..., 0] = images[..., 1]
    return images


def _received(chance: _Chance, image: Ints) -> Ints:
    """`image` (N H W 3) with texture, the coil's bias, gains, and noise that is near normal: four octets added."""
    image = image + image * chance.smooth("texture", image.shape[:3], 21)[..., None] // (ONE * 14)
    image += image * chance.smooth("bias", image.shape[:3], 2)[..., None] // (ONE * 5)
    gain = chance.between("gain", 820, 1240)
    image = image * np.array([gain * chance.between(f"gain {s}", 950, 1080) // ONE for s in range(3)]) // ONE
    noise: Ints = chance.octets("noise", image.size * 4).reshape(*image.shape, 4).sum(axis=-1) - 510
    return image + noise * chance.between("sigma", 3, 7) * GREY // 148


def _reading(chance: _Chance, anatomy: _Anatomy) -> Bytes:
    """The masks (N H W) in {0, 255}, with a bias and an unsteady hand as human readers have them."""
    hand = chance.smooth("hand", anatomy.lesion.shape, 16) * 350 // ONE + chance.between("reader", -120, 120)
    return np.where(anatomy.lesion > hand, 255, 0).astype(np.uint8)


def _lesion(chance: _Chance, z: Ints, y: Ints, x: Ints) -> Ints:
    side = 2 * chance.between("lesion side", 0, 1) - 1
    dz, dy = z - chance.between("lesion z", -560, 560), y - chance.between("lesion y", -430, 430)
    dx = x - side * chance.between("lesion x", 180, 400)
    depth, radius = chance.between("lesion depth", 230, 480), chance.between("lesion radius", 170, 350)
    aspect = chance.between("lesion aspect", 800, 1300)
    return _ellipsoid((dz, dy, dx), (depth, radius * aspect // ONE, radius * ONE // aspect))


def _dots(chance: _Chance, z: Ints, y: Ints, x: Ints) -> Ints:
    field = -ONE + 0 * (z + y + x)
    for dot in range(chance.between("dots", 0, 6)):
        dz, dy, dx = (axis - chance.between(f"dot {dot} {k}", -480, 480) for k, axis in enumerate((z, y, x)))
        radius = chance.between(f"dot {dot} radius", 36, 70)
        field = np.maximum(field, _ellipsoid((dz, dy, dx), (200, radius, radius)))
    return field


def _axis(length: int) -> Ints:
    return (2 * np.arange(length) + 1 - length) * ONE // length


def _ellipsoid(offsets: tuple[Ints, Ints, Ints], radii: tuple[int, int, int]) -> Ints:
    """ONE at the centre, 0 on the surface, negative outside."""
    field: Ints = np.array(ONE)
    for offset, radius in zip(offsets, radii, strict=True):
        field = field - (offset * ONE // radius) ** 2 // ONE
    return field


def _drawn_out(values: Ints, axis: int, length: int) -> Ints:
    """`values` interpolated along `axis` to `length` samples, by a smoothstep so that no lattice shows."""
    position = (2 * np.arange(length) + 1) * (values.shape[axis] - 1) * 128 // length
    cell, t = position // 256, position % 256
    weight = (t * t * (768 - 2 * t) // 65536).reshape([-1 if other == axis else 1 for other in range(3)])
    drawn: Ints = (values.take(cell, axis) * (256 - weight) + values.take(cell + 1, axis) * weight) // 256
    return drawn


def _paint(image: Ints, field: Ints, softness: int, greys: Greys) -> None:
    """Blend `greys` into `image` where `field` is positive, over a border `softness` wide on either side."""
    weight = np.clip(ONE // 2 + field * (ONE // 2) // softness, 0, ONE)[..., None]
    image += (np.array(greys) * GREY - image) * weight // ONE


def _tiff(pixels: Bytes) -> bytes:
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


def _clinical(chances: list[_Chance]) -> bytes:
    """data.csv: a row a patient, clusters and clinical data as codes, about one value in ten unknown."""
    rows = [["Patient", *CLINICAL]]
    for chance in chances:
        known = {column for column in CLINICAL if chance.between(f"{column} known", 1, 10) > 1}
        values = [str(chance.between(column, *CLINICAL[column])) if column in known else "" for column in CLINICAL]
        rows.append([_name(chance), *values])
    return "".join(",".join(row) + "\n" for row in rows).encode()
