"""Masks on the grids of their scans: what is written is read back, and a file that is not sound is refused."""

import re
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.errors import BadInput
from stages.lgg.truth import open_truth, pack_bits, write_truth


def masks(slices: int, height: int, width: int) -> NDArray[np.bool_]:
    return np.random.default_rng(width).random((slices, height, width)) < 0.5


def table(**sizes: tuple[int, int]) -> pd.DataFrame:
    rows = [(patient, height, width) for patient, (height, width) in sizes.items()]
    return pd.DataFrame(rows, columns=["patient", "height", "width"])


SIZES = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 20)), min_size=1, max_size=4)


@settings(deadline=None)
@given(sizes=SIZES, order=st.permutations(range(4)))
def test_what_is_written_is_read_back(
    sizes: list[tuple[int, int, int]], order: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "truth.npz"
    names = ["file", "a/b", "ü.npy", "x"][: len(sizes)]
    with write_truth(path) as truth:
        for place in (place for place in order if place < len(sizes)):
            truth.add(place, names[place], pack_bits(masks(*sizes[place])))
    rows = [(name, *size[1:]) for name, size in zip(names, sizes, strict=True)]
    read = open_truth(path, pd.DataFrame(rows, columns=["patient", "height", "width"]))
    assert list(read) == names
    assert len(read) == len(names)
    for name, size in zip(names, sizes, strict=True):
        assert read[name].dtype == np.bool_
        assert np.array_equal(read[name], masks(*size))
    assert zipfile.ZipFile(path).namelist() == [f"{name}.npy" for name in names]  # in order, however they came


def test_numpy_reads_it_and_the_bytes_are_the_same_each_time(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.npz", "b.npz")]
    for path in paths:
        with write_truth(path) as truth:
            truth.add(0, "P", pack_bits(masks(2, 3, 9)))
    assert paths[0].read_bytes() == paths[1].read_bytes()
    with np.load(paths[0]) as archive:
        assert archive["P"].shape == (2, 3, 2)


def test_what_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "truth.npz"
    wanted = table(P=(3, 9))
    with pytest.raises(BadInput, match=r"truth\.npz: no such file; run dvc repro lgg-pack"):
        open_truth(path, wanted)
    path.write_bytes(b"no zip")
    with pytest.raises(BadInput, match="no archive of masks"):
        open_truth(path, wanted)
    with write_truth(path) as truth:
        truth.add(0, "P", pack_bits(masks(2, 3, 9)))
    with pytest.raises(BadInput, match="has no masks of Q"):
        open_truth(path, table(P=(3, 9), Q=(3, 9)))
    for size in ((4, 9), (3, 8), (3, 17)):
        read = open_truth(path, table(P=size))
        message = f"its masks of P are uint8 (2, 3, 2), not of {size[0]} × {size[1]} px; run dvc repro lgg-pack"
        with pytest.raises(BadInput, match=re.escape(message)):
            read["P"]
    content = path.read_bytes()
    path.write_bytes(content.replace(b"NUMPY", b"NUMPI"))
    with pytest.raises(BadInput, match="its masks of P are damaged"):
        open_truth(path, wanted)["P"]
