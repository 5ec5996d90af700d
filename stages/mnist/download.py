"""Get the digits: the built-in sample, MNIST from the web by Keras's loader, or MNIST's four original files.

Output: data/mnist/digits.npz (x_train, x_test N 28 28 uint8; y_train, y_test N uint8), the same bytes on any machine
"""

import gzip
import math
import os
import socket
import struct
import time
import zlib
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Annotated, Any
from urllib.error import HTTPError, URLError

import numpy as np
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput, Refused, TransientError
from stages.mnist.digits import CLASSES, SIDE, Bytes, Digits, write_digits
from stages.mnist.synthetic import draw
from stages.params import STRICT_KEYS, load

SAMPLE_TRAIN, SAMPLE_TEST = 6_000, 1_000  # images
CACHE = Path(".state/mnist-download")
PAUSES = (2.0, 8.0)  # seconds before the second and the third try
SILENCE = 60.0  # seconds without a byte that end a try
MAY_PASS = {408, 429}  # the only states below 500 for which a later try may fare better
UBYTE = 8  # the code of uint8 in an idx file


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class DownloadParams:
    """Parameters of mnist.download."""

    source: Annotated[str, Field(min_length=1)]
    """sample, web, or the folder of MNIST's four original files."""


def download(source: str) -> Digits:
    """The digits of `source`: "sample", "web" or a folder.

    Raises:
        BadInput: there is no such folder, or a file of it does not hold what it must.
        Refused, TransientError: the web server said no, or three tries failed.
    """
    if source == "web":
        return _web()
    if source != "sample":
        return _folder(Path(os.path.expanduser(source)))  # noqa: PTH111 (Path's raises for an unknown user)
    (x_train, y_train), (x_test, y_test) = draw(SAMPLE_TRAIN, seed=1), draw(SAMPLE_TEST, seed=2)
    return Digits(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _web() -> Digits:
    """What Keras's loader gives; the loader knows the address and the hash."""
    load_data = _loader()
    for pause in (*PAUSES, None):
        try:
            (x_train, y_train), (x_test, y_test) = load_data()
        except Exception as error:
            reason = _reason(error)
            if pause is None:
                raise TransientError(f"{reason}; three tries failed, run it again later") from None
            time.sleep(pause)
        else:
            break
    return Digits(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _loader() -> Callable[[], Any]:
    """Keras's loader, made to keep out of the home folder, to say nothing and not to wait for ever."""
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ["KERAS_HOME"] = str(CACHE)
    os.environ["KERAS_BACKEND"] = "torch"  # Keras wants one, and TensorFlow's logs as it loads
    import keras

    keras.config.disable_interactive_logging()
    socket.setdefaulttimeout(SILENCE)
    return keras.datasets.mnist.load_data  # type: ignore[no-any-return]


def _reason(error: Exception) -> str:
    """What a try failed of, when that may pass; else raises.

    Keras raises a bare Exception for what urllib's HTTPError or URLError was, a ValueError for a wrong hash.
    """
    cause = error.__context__ if isinstance(error.__context__, URLError) else error
    if isinstance(cause, HTTPError):
        cause.close()
        if cause.code < 500 and cause.code not in MAY_PASS:
            raise Refused(f"{error}; see whether Keras still has MNIST, or give mnist.download.source a folder")
    if not isinstance(cause, URLError | ConnectionError | TimeoutError | HTTPException | ValueError):
        raise error
    return f"MNIST from the web: {' '.join(str(error).split()) or type(error).__name__}"


def _folder(folder: Path) -> Digits:
    """The digits of the four original files."""
    if not folder.is_dir():
        raise BadInput(f"{folder}: no such folder; mnist.download.source is sample, web or a folder of MNIST's files")
    x_train, y_train = _subset(folder, "train")
    x_test, y_test = _subset(folder, "t10k")
    return Digits(x_train=x_train, y_train=y_train, x_test=x_test, y_test=y_test)


def _subset(folder: Path, prefix: str) -> tuple[Bytes, Bytes]:
    """Images N 28 28 and labels N."""
    x_path, y_path = folder / f"{prefix}-images-idx3-ubyte.gz", folder / f"{prefix}-labels-idx1-ubyte.gz"
    images, labels = _idx(x_path, 3), _idx(y_path, 1)
    if images.shape[1:] != (SIDE, SIDE) or not len(images):
        raise BadInput(f"{x_path}: holds images of shape {images.shape}, not (N, {SIDE}, {SIDE}); fetch it again")
    if len(labels) != len(images):
        raise BadInput(f"{y_path}: {len(labels)} labels for {len(images)} images in {x_path.name}; fetch both again")
    if labels.max() >= CLASSES:
        raise BadInput(f"{y_path}: holds the label {labels.max()}; digits are 0 to {CLASSES - 1}; fetch it again")
    return images, labels


def _idx(path: Path, dimensions: int) -> Bytes:
    """The array in a gzipped idx file: two zeros, the type, the number of dimensions, each size, the values."""
    try:
        content = gzip.decompress(path.read_bytes())
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; the folder must hold MNIST's four original files") from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise BadInput(f"{path}: not a whole gzip file ({error}); fetch it again") from None
    start = 4 + 4 * dimensions
    if content[:4] != bytes([0, 0, UBYTE, dimensions]) or len(content) < start:
        raise BadInput(f"{path}: not an idx file of bytes in {dimensions} dimensions; fetch it again")
    sizes = struct.unpack(f">{dimensions}I", content[4:start])
    if len(content) - start != math.prod(sizes):
        raise BadInput(f"{path}: announces {math.prod(sizes)} values, holds {len(content) - start}; fetch it again")
    return np.frombuffer(content, np.uint8, offset=start).reshape(sizes)


def main(*, digits: Path) -> None:
    """Get the digits into the file DIGITS.

    Parameters: mnist.download of params.yaml.
    """
    params = load(DownloadParams, "mnist.download")
    with staged(digits) as (path,):
        write_digits(download(params.source), path)


if __name__ == "__main__":
    run(main)
