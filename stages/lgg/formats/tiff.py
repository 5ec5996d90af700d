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
LOSSLESS = {"NONE", "LZW", "ADOBE_DEFLATE", "DEFLATE", "PACKBITS", "LZMA", "ZSTD"}
"""Compressions that are read, as tifffile calls them."""
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2  # values of COLOURS
TIFF_DEFAULTS = {COMPRESSION: (1,), CHANNELS: (1,), STRIP_ROWS: (2**32 - 1,), PLANES: (1,), FORMATS: (1,)}


class _Unclear(ValueError):
    """What cannot be told from the file; the message says why."""


def read_tiff(content: bytes, name: str, most_samples: int) -> NDArray[Any]:
    """The pixels of the TIFF `content`, (H W) or (H W C).

    Raises:
        BadInput: it cannot be read, it is not one picture whose 0 is black, or it has more than `most_samples` values;
            the message names `name`.
    """
    plain = plain_pixels(content)
    if plain is not None:
        return plain
    try:
        if content[:2] not in (b"II", b"MM"):
            raise _Unclear("it does not begin as one")
        with tifffile.TiffFile(io.BytesIO(content)) as tiff:
            return _decoded(tiff, len(content), most_samples)
    except Exception as error:  # tifffile meets a damaged file with whatever its bytes lead to
        reason = str(error) if isinstance(error, _Unclear) else "it is cut short or damaged"
        raise BadInput(f"{name} is no TIFF that can be read: {reason}") from None


def _decoded(tiff: tifffile.TiffFile, size_bytes: int, most_samples: int) -> NDArray[Any]:
    page: Any = tiff.pages[0]
    series, pages = tiff.series[0], len(tiff.pages)
    if pages > 1 or series.size != page.size:
        raise _Unclear(
            f"it has {max(pages, series.size // page.size)} pages, which may be slices or channels; save each slice "
            "as a file, its channels together"
        )
    if series.size > most_samples:
        raise _Unclear(f"its pixels would take {series.nbytes} bytes")
    if COLOURS not in page.tags:
        raise _Unclear("it does not say whether 0 is black or white; save it with 0 as black")
    if page.photometric == WHITE_IS_ZERO:
        raise _Unclear("it says that 0 is white, so what is tumour may be background; save it with 0 as black")
    if page.photometric not in (BLACK_IS_ZERO, RGB):
        raise _Unclear(f"its colours are {page.photometric.name.lower()}; save it as grey or RGB")
    if (compression := getattr(page.compression, "name", page.compression)) not in LOSSLESS:
        raise _Unclear(f"it is compressed by {compression}; save it with LZW or deflate")
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    if max(ends) > size_bytes or not all(page.databytecounts):
        raise _Unclear("it is cut short")
    if page.axes == "SYX":  # the tags say that the planes are channels
        return np.ascontiguousarray(np.moveaxis(page.asarray(), 0, -1))
    if page.axes not in ("YX", "YXS"):
        raise _Unclear(f"its axes are {page.axes}, not rows and columns")
    return np.asarray(page.asarray())


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
        black_is_zero = tags[COLOURS] in ((BLACK_IS_ZERO,), (RGB,))
        raw = black_is_zero and tags.keys() <= PLAIN_TAGS and tags[COMPRESSION] == tags[PLANES] == (1,)
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
