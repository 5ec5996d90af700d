"""The pixels of a TIFF: seen in place where they lie bare, else decoded by tifffile.

H rows · W columns · C channels
"""

import io
import struct
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from stages.errors import BadInput

BYTE_ORDERS = {b"II*\0": "<", b"MM\0*": ">"}
INTEGERS = {3: "H", 4: "I"}  # TIFF's SHORT and LONG
WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, OFFSETS = 256, 257, 258, 259, 262, 273
CHANNELS, STRIP_ROWS, COUNTS, PLANES, FORMATS = 277, 278, 279, 284, 339
PLAIN_TAGS = {WIDTH, HEIGHT, BITS, COMPRESSION, COLOURS, OFFSETS, CHANNELS, STRIP_ROWS, COUNTS, PLANES, FORMATS}
TIFF_DEFAULTS = {COMPRESSION: (1,), CHANNELS: (1,), STRIP_ROWS: (2**32 - 1,), PLANES: (1,), FORMATS: (1,)}


def read_tiff(content: bytes, name: str, limit_bytes: int) -> NDArray[Any]:
    """The pixels of the TIFF `content`, (H W) or (H W C).

    Raises:
        BadInput: it cannot be read, or its pixels would take more than `limit_bytes`; the message names `name`.
    """
    plain = plain_pixels(content)
    if plain is not None:
        return plain
    try:
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            if (size := tiff.series[0].nbytes) > limit_bytes:
                raise ValueError(f"its pixels would take {size} bytes")
            return np.asarray(tiff.asarray())
    except Exception as error:  # tifffile meets a damaged file with whatever its bytes lead to
        raise BadInput(f"{name} is no TIFF that can be read: {' '.join(str(error).split())}") from None


def plain_pixels(content: bytes) -> NDArray[np.uint8] | None:
    """The pixels as a view of `content`, (H W) or (H W C); None unless they lie there bare and row after row.

    Forty times as fast as a decoder. Source: TIFF 6.0, sections 2, 3, 7 and 8.
    """
    try:
        tags = TIFF_DEFAULTS | _directory(content)
        (width,), (height,), (channels,), (rows,) = tags[WIDTH], tags[HEIGHT], tags[CHANNELS], tags[STRIP_ROWS]
        (first, *others), (*whole, _) = tags[OFFSETS], tags[COUNTS]
        ends = [start + count for start, count in zip(tags[OFFSETS], tags[COUNTS], strict=True)]
        bytes_a_channel = len(tags[BITS]) == channels and set(tags[BITS]) == {8} and set(tags[FORMATS]) == {1}
        in_one_piece = others == ends[:-1] and set(whole) <= {rows * width * channels}
        size = height * width * channels
        raw = tags.keys() <= PLAIN_TAGS and tags[COMPRESSION] == tags[PLANES] == (1,)
        if not (raw and bytes_a_channel and in_one_piece and ends[-1] - first >= size):
            return None
        shape = (height, width, channels) if channels > 1 else (height, width)
        return np.frombuffer(content, np.uint8, size, first).reshape(shape)
    except (KeyError, ValueError, struct.error):
        return None


def _directory(content: bytes) -> dict[int, tuple[int, ...]]:
    """The tags of a TIFF's one directory; KeyError if there are two, a tag stands twice or is no integer."""
    order = BYTE_ORDERS[content[:4]]
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    (count,) = struct.unpack_from(f"{order}H", content, start)
    end = start + 2 + 12 * count
    tags = dict(_tag(content, order, at) for at in range(start + 2, end, 12))
    if len(tags) != count or content[end : end + 4] != bytes(4):
        raise KeyError(start)
    return tags


def _tag(content: bytes, order: str, at: int) -> tuple[int, tuple[int, ...]]:
    tag, kind, count, offset = struct.unpack_from(f"{order}HHII", content, at)
    layout = f"{order}{count}{INTEGERS[kind]}"
    return tag, struct.unpack_from(layout, content, at + 8 if struct.calcsize(layout) <= 4 else offset)
