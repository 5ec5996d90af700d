"""The pixels of a PNG, of 8 or 16 bits.

H rows · W columns · C channels
"""

import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput

SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
"""By the header's type of colour: grey, RGB, a palette, and grey and RGB with transparency."""


def read_png(content: bytes, name: str, most_samples: int) -> NDArray[Any]:
    """The pixels of the PNG `content`, (H W) or (H W C).

    Raises:
        BadInput: it cannot be read, or has more than `most_samples` values; the message names `name`.
    """
    import imagecodecs

    try:
        if content[:8] != SIGNATURE:
            raise ValueError("its first bytes are others")
        width, height, _, colours = struct.unpack_from(">IIBB", content, 16)
        if (samples := width * height * CHANNELS[colours]) > most_samples:
            raise ValueError(f"it would have {samples} values")
        return np.asarray(imagecodecs.png_decode(content))
    except ValueError as error:
        raise BadInput(f"{name} is no PNG that can be read: {error}") from None
    except (struct.error, KeyError, RuntimeError):
        raise BadInput(f"{name} is no PNG that can be read: it is cut short or damaged") from None
