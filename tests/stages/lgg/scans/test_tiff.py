"""TIFFs read without a decoder, and those that are left to one."""

import io
import struct

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from stages.lgg.scans.tiff import plain_pixels
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
