"""Patients whose slices are pictures: depths, compressions, and masks of every sort, clear ones and others."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.lgg.layouts.patients import Stack
from stages.lgg.scans import stacks
from stages.lgg.scans.archive import Archive, open_archive
from stages.lgg.scans.values import Grid, Mask, Pixels
from tests.stages.lgg import archives, folders

Files = dict[str, bytes]
RANDOM = np.random.default_rng(3)
IMAGES = RANDOM.integers(0, 256, (2, 6, 4, 3), np.uint8)
MASKS = RANDOM.integers(0, 2, (2, 6, 4), np.uint8)
MASKS[:, 0, 0], MASKS[:, 0, 1] = 0, 1


def files(images: NDArray[Any] = IMAGES, masks: NDArray[Any] = MASKS, **options: Any) -> Files:
    named = Files()
    for number, (image, mask) in enumerate(zip(images, masks, strict=True), 1):
        named[f"P/P_{number}.tif"] = folders.tiff(image, **options)
        named[f"P/P_{number}_mask.tif"] = folders.tiff(mask, **options)
    return named


@contextmanager
def opened(folder: Path, content: Files) -> Iterator[tuple[Archive, Stack]]:
    with open_archive(archives.write(folder / "archive.zip", content)) as archive:
        (stack,) = archive.patients
        assert isinstance(stack, Stack)
        yield archive, stack


def read(folder: Path, content: Files) -> tuple[Grid, NDArray[np.uint8], NDArray[np.bool_]]:
    with opened(folder, content) as (archive, stack):
        problems = list[str]()
        grid = stacks.measure(archive, stack, problems)
        assert grid is not None
        slices: list[tuple[Pixels, Mask]] = list(stacks.read(archive, stack, grid, problems))
        assert problems == []
    return grid, np.stack([image for image, _ in slices]), np.stack([mask for _, mask in slices])


def problems(folder: Path, content: Files) -> list[str]:
    with opened(folder, content) as (archive, stack):
        found = list[str]()
        grid = stacks.measure(archive, stack, found)
        if grid is not None:
            list(stacks.read(archive, stack, grid, found))
    return found


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "deflate"])
@pytest.mark.parametrize("top", [1, 255, 65535])
def test_compressions_and_masks(tmp_path: Path, compression: str | None, top: int) -> None:
    """LZW took a package that was not pinned."""
    masks = MASKS.astype(np.uint16 if top > 255 else np.uint8) * top
    grid, images, tumour = read(tmp_path, files(masks=masks, compression=compression))
    assert grid == Grid(2, 6, 4)
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(tumour, MASKS == 1)


@pytest.mark.parametrize("further", [[], ["opaque"]])
@pytest.mark.parametrize("times", [1, 3])
def test_grey_masks_in_colours_or_with_transparency(tmp_path: Path, times: int, further: list[str]) -> None:
    content = files()
    for number, mask in enumerate(MASKS * np.uint8(255), 1):
        channels = np.stack([mask] * times + [np.full_like(mask, 255) for _ in further], -1)
        content[f"P/P_{number}_mask.png"] = folders.png(channels[..., 0] if channels.shape[-1] == 1 else channels)
        del content[f"P/P_{number}_mask.tif"]
    assert np.array_equal(read(tmp_path, content)[2], MASKS == 1)


def test_bilevel_masks(tmp_path: Path) -> None:
    one_bit = {f"P/P_{number}_mask.tif": folders.tiff(mask == 1) for number, mask in enumerate(MASKS, 1)}
    assert np.array_equal(read(tmp_path, files() | one_bit)[2], MASKS == 1)


@pytest.mark.parametrize("png", [False, True])
def test_16_bits_are_mapped_over_the_whole_volume(tmp_path: Path, png: bool) -> None:
    wide = RANDOM.integers(0, 4000, (2, 6, 4, 3)).astype(np.uint16)
    wide[0, 0, 0], wide[1, 0, 0] = 0, (4000, 2000, 1000)  # the highest of each channel stands in the second slice
    wide = np.minimum(wide, np.array([4000, 2000, 1000], np.uint16))
    content = files(images=wide)
    if png:
        for number, image in enumerate(wide, 1):
            del content[f"P/P_{number}.tif"]
            content[f"P/P_{number}.png"] = folders.png(image)
    grid, images, _ = read(tmp_path, content)
    assert grid.kind == "uint16"
    assert np.array_equal(images, (wide / np.array([4000, 2000, 1000]) * 255 + 0.5).astype(np.uint8))
    assert images[0, 0, 0].tolist() == [0, 0, 0]
    assert images[1, 0, 0].tolist() == [255, 255, 255]


def test_planes_that_the_tags_call_channels(tmp_path: Path) -> None:
    planes = {
        f"P/P_{number}.tif": folders.tiff(np.moveaxis(image, -1, 0), photometric="rgb", planarconfig="separate")
        for number, image in enumerate(IMAGES, 1)
    }
    assert np.array_equal(read(tmp_path, files() | planes)[1], IMAGES)


WHITE = folders.tiff(MASKS[0] * np.uint8(255), photometric="miniswhite")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("_1_mask", WHITE, "is no TIFF that can be read: it says that 0 is white, so what is tumour may be background"),
        ("_1", WHITE, "is no TIFF that can be read: it says that 0 is white"),
        ("_2", folders.tiff(np.moveaxis(IMAGES[0], -1, 0), photometric="minisblack"),
         "is no TIFF that can be read: it has 3 pages, which may be slices or channels"),
        ("_2", folders.tiff(IMAGES[0][..., 0]), "is 6×4 uint8, not 6×4×3 uint8"),
        ("_2", folders.tiff(IMAGES[0].astype(np.uint16)), "is 6×4×3 uint16, not 6×4×3 uint8"),
        ("_2", folders.tiff(IMAGES[0][:5]), "is 5×4×3 uint8, not 6×4×3 uint8"),
        ("_2_mask", folders.tiff(MASKS[0][:5]), "is 5×4 uint8, not 6×4 uint8"),
        ("_2_mask", folders.tiff(IMAGES[0]), "is coloured; a mask has one channel, or channels that are alike"),
        ("_2_mask", folders.tiff(MASKS[0] + np.uint8(1)), "holds the values 1, 2, of which several may be tumour"),
        ("_2_mask", folders.tiff(np.ones((6, 4), np.uint8)), "holds the value 1 alone; where nothing is 0"),
    ],
)  # fmt: skip
def test_what_is_ambiguous_is_named(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    """A mask whose 0 is white was packed with tumour and background exchanged."""
    (found,) = problems(tmp_path, files() | {f"P/P{name}.tif": content})
    assert found.startswith(f"P/P{name}.tif {problem}")


def test_transparency_that_means_something(tmp_path: Path) -> None:
    content = files()
    del content["P/P_1.tif"]
    picture = np.concatenate([IMAGES[0], IMAGES[0][..., :1]], -1)
    (found,) = problems(tmp_path, content | {"P/P_1.png": folders.png(picture)})
    assert found.startswith("P/P_1.png has 4 channels, the last no even transparency")


def test_masks_of_a_patient_that_are_not_alike(tmp_path: Path) -> None:
    masks = np.stack([MASKS[0], MASKS[1] * np.uint8(255)])
    assert problems(tmp_path, files(masks=masks)) == [
        "P: tumour is 1 in P/P_1_mask.tif and 255 in P/P_2_mask.tif; write all its masks alike"
    ]


def test_slices_that_are_too_long(tmp_path: Path) -> None:
    long = np.zeros((1, 1, 2365, 3), np.uint8)
    (found,) = problems(tmp_path, files(images=long, masks=np.zeros((1, 1, 2365), np.uint8)))
    assert found == "P/P_1.tif is 1×2365×3 uint8, not H×W×3 of uint8 or uint16, up to 2364 px"
