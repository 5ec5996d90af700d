"""TIFFs read without a decoder, and those that are left to one."""

import io
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from stages.errors import BadInput
from stages.lgg.formats.tiff import plain_pixels, read_tiff
from tests.stages.lgg import archives

PATIENT = next(iter(archives.COUNTS))


def test_the_common_layout_is_read_without_a_decoder() -> None:
    for order in "<>":
        for rows in (1, 5, 16, 40):
            for pixels in (archives.image(PATIENT, 1), archives.mask(2), archives.image(PATIENT, 1)[:7]):
                content = archives.tiff(pixels, order, rows)
                plain = plain_pixels(content)
                assert plain is not None
                assert np.array_equal(plain, pixels)
                assert np.array_equal(plain, tifffile.imread(io.BytesIO(content)))


def tag_value(content: bytes, tag: int, value: int) -> bytes:
    """`content` with the value of a tag that holds one SHORT replaced."""
    at = content.index(struct.pack("<HHI", tag, 3, 1), len(content) // 2) + 8
    return content[:at] + struct.pack("<H", value) + content[at + 2 :]


@pytest.mark.parametrize(("tag", "value"), [(258, 16), (259, 5), (284, 2), (339, 2), (278, 4), (256, 17), (257, 21)])
def test_what_needs_a_decoder_is_left_to_one(tag: int, value: int) -> None:
    content = archives.tiff(archives.mask(9))
    assert plain_pixels(content) is not None
    assert plain_pixels(tag_value(content, tag, value)) is None


def test_tags_that_change_the_pixels_need_a_decoder() -> None:
    assert plain_pixels(archives.tiff(archives.mask(9), extra={266: 2})) is None  # the bits of each byte reversed
    assert plain_pixels(archives.tiff(archives.image(PATIENT, 9), extra={317: 2})) is None  # differences to the left


def test_a_second_directory_needs_a_decoder() -> None:
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as writer:
        for _ in range(2):
            writer.write(archives.mask(9), metadata=None, software=False)
    assert plain_pixels(stream.getvalue()) is None


@given(st.lists(st.tuples(st.integers(0, 1100), st.integers(0, 255)), min_size=1, max_size=4))
def test_a_tiff_of_damaged_bytes_never_breaks_the_reader(changes: list[tuple[int, int]]) -> None:
    content = bytearray(archives.tiff(archives.image(PATIENT, 1)))
    for at, value in changes:
        content[at % len(content)] = value
    plain = plain_pixels(bytes(content))
    assert plain is None or plain.nbytes <= len(content)


def refusal(content: bytes) -> str:
    with pytest.raises(BadInput) as caught:
        read_tiff(content, "x.tif", 10**6)
    start = "x.tif is no TIFF that can be read: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.7, 0.95, 0.999])
def test_a_file_that_is_cut_short_is_told_as_that(compression: str | None, part: float) -> None:
    """It was told as `list index out of range`."""
    stream = io.BytesIO()
    pixels = archives.image(PATIENT, 1, 64)
    tifffile.imwrite(stream, pixels, photometric="rgb", compression=compression, rowsperstrip=8, metadata=None)
    whole = stream.getvalue()
    assert np.array_equal(read_tiff(whole, "x.tif", 10**6), pixels)
    assert refusal(whole[: int(len(whole) * part)]) in ("it is cut short or damaged", "it is cut short")


def test_a_directory_that_leads_nowhere() -> None:
    assert refusal(archives.tiff(archives.mask(9))[:-60]) == "it is cut short or damaged"
    assert refusal(b"II*\0" + bytes(4)) == "it is cut short or damaged"


@pytest.mark.parametrize("compression", [None, "lzw"])
def test_0_is_white(compression: str | None) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, archives.mask(9), photometric="miniswhite", compression=compression)
    assert refusal(stream.getvalue()).startswith("it says that 0 is white")
    assert refusal(tag_value(archives.tiff(archives.mask(9)), 262, 0)).startswith("it says that 0 is white")


def test_neither_black_nor_white() -> None:
    content = archives.tiff(archives.mask(9))
    unsaid = content.replace(struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 263, 3, 1, 1))
    assert refusal(unsaid) == "it does not say whether 0 is black or white; save it with 0 as black"


@pytest.mark.parametrize(("code", "name"), [(7, "JPEG"), (4, "CCITTFAX4"), (12345, "12345")])
def test_a_compression_that_loses_something_or_is_unknown(code: int, name: str) -> None:
    content = tag_value(archives.tiff(archives.mask(9)), 259, code)
    assert refusal(content).startswith(f"it is compressed by {name}; save it with LZW or deflate")


def test_other_colours_and_several_pages() -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, archives.mask(9), photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    assert refusal(stream.getvalue()) == "its colours are palette; save it as grey or RGB"
    for options in ({"photometric": "minisblack"}, {"imagej": True}):
        stream = io.BytesIO()
        tifffile.imwrite(stream, np.zeros((3, 16, 16), np.uint8), **options)
        assert refusal(stream.getvalue()).startswith("it has 3 pages, which may be slices or channels; save each slice")
