"""PNG files of every sort that is read, and broken ones."""

import struct
import zlib

import numpy as np
import pytest

from stages.errors import BadInput
from stages.lgg.formats.png import SIGNATURE, read_png
from tests.stages.lgg import folders


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (5, 7, 4)])
def test_grey_and_colours_of_8_and_16_bits(kind: str, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(1).integers(0, np.iinfo(kind).max, shape).astype(kind)
    read = read_png(folders.png(pixels), "x.png", 10**6)
    assert read.dtype == kind
    assert np.array_equal(read, pixels)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def test_a_palette_is_its_colours() -> None:
    """Or a value would be the place of a colour, in whatever order they stand."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 8, 3, 0, 0, 0))
    palette = chunk(b"PLTE", bytes([255, 255, 255, 0, 0, 0]))
    content = SIGNATURE + head + palette + chunk(b"IDAT", zlib.compress(bytes([0, 0, 1]))) + chunk(b"IEND", b"")
    assert read_png(content, "x.png", 100).tolist() == [[[255] * 3, [0] * 3]]


def test_one_bit_a_pixel() -> None:
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 1, 0, 0, 0, 0))
    content = SIGNATURE + head + chunk(b"IDAT", zlib.compress(bytes([0, 0b01000000]))) + chunk(b"IEND", b"")
    assert (read_png(content, "x.png", 100) > 0).tolist() == [[False, True, False]]


def test_broken_ones() -> None:
    whole = folders.png(np.random.default_rng(1).integers(0, 255, (40, 40), np.uint8))
    for content in (b"", b"II*\0", whole[:20], whole[: len(whole) // 2], whole[:-20]):
        with pytest.raises(BadInput, match=r"^x\.png is no PNG that can be read: "):
            read_png(content, "x.png", 10**6)
    with pytest.raises(BadInput, match=r"it would have 1600 values"):
        read_png(whole, "x.png", 1599)
