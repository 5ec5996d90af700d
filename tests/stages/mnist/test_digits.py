from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.mnist.digits import Digits, read_digits, write_arrays, write_digits

Arrays = dict[str, NDArray[Any]]


def test_what_is_written_is_read(digits: Digits, tmp_path: Path) -> None:
    write_digits(digits, tmp_path / "a.npz")
    write_digits(digits, tmp_path / "b")
    again = read_digits(tmp_path / "b")
    assert all(np.array_equal(value, getattr(again, name)) for name, value in asdict(digits).items())
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("y_test"), "not an npz archive with x_train, y_train, x_test, y_test; run dvc repro mnist-do"),
        (lambda a: a.update(x_test=a["x_test"] / 255), r"x_test is float64 \(100, 28, 28\), not uint8 \(N, 28, 28\)"),
        (lambda a: a.update(x_train=a["x_train"][:, 1:]), r"x_train is uint8 \(200, 27, 28\)"),
        (lambda a: a.update(x_test=a["x_test"].reshape(100, -1)), r"x_test is uint8 \(100, 784\)"),
        (lambda a: a.update(x_test=a["x_test"][:0], y_test=a["y_test"][:0]), r"x_test is uint8 \(0, 28, 28\)"),
        (lambda a: a.update(y_train=a["y_train"][1:]), r"y_train is uint8 \(199,\), not one uint8 for each image"),
        (lambda a: a.update(y_train=a["y_train"].astype("int64")), "y_train is int64"),
        (lambda a: a.update(y_test=a["y_test"] + 1), "y_test holds the label 10; digits are 0 to 9"),
    ],
)
def test_other_arrays_are_refused(
    change: Callable[[Arrays], Any], message: str, digits: Digits, tmp_path: Path
) -> None:
    arrays: Arrays = asdict(digits)
    change(arrays)
    write_arrays(arrays, tmp_path / "digits.npz")
    with pytest.raises(BadInput, match=f"digits.npz: {message}"):
        read_digits(tmp_path / "digits.npz")


def test_every_problem_is_named(digits: Digits, tmp_path: Path) -> None:
    arrays: Arrays = asdict(digits)
    write_arrays({**arrays, "y_train": arrays["y_train"] + 1, "y_test": arrays["y_test"] + 1}, tmp_path / "digits.npz")
    with pytest.raises(BadInput, match=r"(?s)2 problems.*y_train.*y_test"):
        read_digits(tmp_path / "digits.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken", "cut short", "flipped", "one array"])
def test_what_is_no_archive_is_refused(content: bytes | str, digits: Digits, tmp_path: Path) -> None:
    path = tmp_path / "digits.npz"
    write_digits(digits, path)
    whole = path.read_bytes()
    with path.open("wb") as file:
        if content == "one array":
            np.save(file, digits.x_test)
        elif content == "flipped":
            file.write(whole[:500] + bytes([whole[500] ^ 1]) + whole[501:])
        else:
            file.write(content if isinstance(content, bytes) else whole[:-100])
    with pytest.raises(BadInput, match="not an npz archive"):
        read_digits(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"digits\.npz: no such file; run dvc repro mnist-download"):
        read_digits(tmp_path / "digits.npz")
