"""The drawing of one synthetic patient: a short stack of slices through an invented head.

Scalp, skull, cortex, white matter, ventricles, and one lesion, bright in FLAIR and a little dark before contrast. What
a threshold would mistake for it is there too: bright scalp, bright caps on the ventricles, bright dots in the white
matter, the coil's bias, each scanner's own gain. All arithmetic is on integers.

Shapes: N slices, H rows, W columns, H = W = size. Lengths are in 1/1024 of half the field of view; fields (positive
inside a structure) and weights are in 1/1024; intensities in 1/64 of a grey level.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stages.lgg.source.hash_random import ONE, HashRandom, Ints

Bytes = NDArray[np.uint8]
Greys = tuple[int, int, int]  # pre-contrast, FLAIR, post-contrast

GREY = 64


def draw(random: HashRandom, size: int) -> tuple[Bytes, Bytes]:
    """6 to 12 slices of `size` px: the images (N H W 3) and a reader's masks of the lesion (N H W) in {0, 255}."""
    anatomy = _anatomy(random, (random.between("slices", 6, 12), size, size))
    return _scan(random, anatomy), _reading(random, anatomy)


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


def _anatomy(random: HashRandom, shape: tuple[int, int, int]) -> _Anatomy:
    z = _axis(shape[0])[:, None, None]
    y = _axis(shape[1])[:, None] - random.between("centre y", -60, 60)
    x = _axis(shape[2]) - random.between("centre x", -60, 60) + y * random.between("tilt", -160, 160) // ONE
    radii = random.between("depth", 1250, 1500), random.between("height", 820, 930), random.between("width", 690, 790)
    head = _ellipsoid((z, y, x), radii) + random.smooth("outline", shape, 4) * 40 // ONE
    folds = random.smooth("folds", shape, 11)
    brain = head - 290 + folds * 60 // ONE
    spread = random.between("spread", 60, 120)
    ventricles = _ellipsoid((z, y - 40, abs(x) - spread), (620, random.between("horns", 220, 330), spread))
    ventricles += random.smooth("ventricles", shape, 6) * 250 // ONE
    tissue = np.minimum(brain, -ventricles)
    return _Anatomy(
        head=head,
        brain=brain,
        white=head - 420 + folds * 220 // ONE,
        ventricles=ventricles,
        caps=np.minimum(ventricles + random.between("caps", 150, 800), abs(y - 40) - 130),
        dots=np.minimum(_dots(random, z, y, x), tissue),
        lesion=np.minimum(_lesion(random, z, y, x) + random.smooth("border", shape, 7) * 700 // ONE, tissue * 4),
    )


def _scan(random: HashRandom, anatomy: _Anatomy) -> Bytes:
    """The images (N H W 3)."""
    image = np.zeros((*anatomy.head.shape, 3), np.int64)
    lesion, flair = anatomy.lesion, random.between("contrast", 142, 185)
    _paint(image, anatomy.head, 60, (150, random.between("scalp", 120, 190), 160))
    _paint(image, anatomy.head - 130, 50, (22, 18, 24))
    _paint(image, anatomy.head - 230, 50, (46, 40, 48))
    _paint(image, anatomy.brain, 60, (90, 110, 98))
    _paint(image, anatomy.white, 120, (118, 90, 124))
    _paint(image, anatomy.caps, 260, (108, random.between("cap", 110, 165), 112))
    _paint(image, anatomy.ventricles, 160, (44, 34, 46))
    _paint(image, anatomy.dots, 300, (110, 165, 118))
    _paint(image, lesion, 240, (random.between("dark", 72, 94), flair, random.between("light", 84, 110)))
    if random.between("enhancing", 1, 3) == 1:
        _paint(image, np.minimum(lesion - 200, 700 - lesion), 200, (90, flair, 190))
    images = np.clip(_received(random, image) // GREY, 0, 255).astype(np.uint8)
    if random.patient % 11 == 4:
        images[..., 2] = images[..., 1]
        if random.patient // 11 % 10 < 6:
            images[..., 0] = images[..., 1]
    return images


def _received(random: HashRandom, image: Ints) -> Ints:
    """`image` (N H W 3) with texture, the coil's bias, gains, and noise that is near normal: four octets added."""
    image = image + image * random.smooth("texture", image.shape[:3], 21)[..., None] // (ONE * 14)
    image += image * random.smooth("bias", image.shape[:3], 2)[..., None] // (ONE * 5)
    gain = random.between("gain", 820, 1240)
    image = image * np.array([gain * random.between(f"gain {s}", 950, 1080) // ONE for s in range(3)]) // ONE
    noise: Ints = random.octets("noise", image.size * 4).reshape(*image.shape, 4).sum(axis=-1) - 510
    return image + noise * random.between("sigma", 3, 7) * GREY // 148


def _reading(random: HashRandom, anatomy: _Anatomy) -> Bytes:
    """The masks (N H W) in {0, 255}, with a bias and an unsteady hand as human readers have them."""
    hand = random.smooth("hand", anatomy.lesion.shape, 16) * 350 // ONE + random.between("reader", -120, 120)
    return np.where(anatomy.lesion > hand, 255, 0).astype(np.uint8)


def _lesion(random: HashRandom, z: Ints, y: Ints, x: Ints) -> Ints:
    side = 2 * random.between("lesion side", 0, 1) - 1
    dz, dy = z - random.between("lesion z", -560, 560), y - random.between("lesion y", -430, 430)
    dx = x - side * random.between("lesion x", 180, 400)
    depth, radius = random.between("lesion depth", 230, 480), random.between("lesion radius", 170, 350)
    aspect = random.between("lesion aspect", 800, 1300)
    return _ellipsoid((dz, dy, dx), (depth, radius * aspect // ONE, radius * ONE // aspect))


def _dots(random: HashRandom, z: Ints, y: Ints, x: Ints) -> Ints:
    field = -ONE + 0 * (z + y + x)
    for dot in range(random.between("dots", 0, 6)):
        dz, dy, dx = (axis - random.between(f"dot {dot} {k}", -480, 480) for k, axis in enumerate((z, y, x)))
        radius = random.between(f"dot {dot} radius", 36, 70)
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


def _paint(image: Ints, field: Ints, softness: int, greys: Greys) -> None:
    """Blend `greys` into `image` where `field` is positive, over a border `softness` wide on either side."""
    weight = np.clip(ONE // 2 + field * (ONE // 2) // softness, 0, ONE)[..., None]
    image += (np.array(greys) * GREY - image) * weight // ONE
