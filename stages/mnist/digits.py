"""The digits: their type and their file, data/mnist/digits.npz.

x_train, x_test   N 28 28 uint8, bright ink (255) on black (0)
y_train, y_test   N uint8, the digit that is shown, 0 to 9
"""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from stages.errors import BadInput, bad_input

SIDE = 28  # px
CLASSES = 10

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Images and what they show, to train on and to test with."""

    x_train: Bytes
    y_train: Bytes
    x_test: Bytes
    y_test: Bytes


def read_digits(path: Path) -> Digits:
    """The digits in the file `path`.

    Raises:
        BadInput: no such file, not an archive of these arrays, or arrays of other types, sizes or labels.
    """
    digits = Digits(**read_arrays(path, [field.name for field in fields(Digits)], "mnist-download"))
    problems = _problems("train", digits.x_train, digits.y_train) + _problems("test", digits.x_test, digits.y_test)
    if problems:
        raise bad_input(str(path), problems)
    return digits


def read_arrays(path: Path, names: list[str], stage: str) -> dict[str, NDArray[Any]]:
    """The arrays `names` of the archive `path`, which is an output of `stage`.

    Raises:
        BadInput: no such file, not an archive, or an array is missing.
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in names}
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro {stage}") from None
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile):
        raise BadInput(f"{path}: not an npz archive with {', '.join(names)}; run dvc repro {stage}") from None


def write_arrays(arrays: dict[str, NDArray[Any]], path: Path) -> None:
    """Write an archive whose bytes depend on the arrays only: uncompressed, for zlib's output differs by version."""
    with path.open("wb") as file:  # given a path, numpy would add a suffix
        np.savez(file, allow_pickle=False, **arrays)


def write_digits(digits: Digits, path: Path) -> None:
    """Write `digits` as `read_digits` reads them."""
    write_arrays(asdict(digits), path)


def _problems(subset: str, images: Bytes, labels: Bytes) -> list[str]:
    """What keeps these arrays from being digits."""
    x, y = f"x_{subset}", f"y_{subset}"
    problems = []
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1:] != (SIDE, SIDE) or not len(images):
        problems.append(f"{x} is {images.dtype} {images.shape}, not uint8 (N, {SIDE}, {SIDE})")
    if labels.dtype != np.uint8 or labels.shape != images.shape[:1]:
        problems.append(f"{y} is {labels.dtype} {labels.shape}, not one uint8 for each image of {x}")
    elif labels.size and labels.max() >= CLASSES:
        problems.append(f"{y} holds the label {labels.max()}; digits are 0 to {CLASSES - 1}")
    return problems
