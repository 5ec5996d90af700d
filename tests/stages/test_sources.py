"""Data from outside of the graph, under real `dvc`: what is replaced under the same path is noticed."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.mnist.digits import read_digits
from tests.support.clones import Clone


@pytest.fixture(scope="module")
def clone(make_clone: Callable[[], Clone]) -> Clone:
    return make_clone()


def archive(content: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("kaggle_3m/README.md"), content)  # dated 1980: the same bytes at any time
    return buffer.getvalue()


def digits(folder: Path, label: int) -> None:
    """The four files of MNIST, of two black images each, all of one label."""
    folder.mkdir(exist_ok=True)
    for subset in ("train", "t10k"):
        images = struct.pack(">4B3I", 0, 0, 8, 3, 2, 28, 28) + bytes(2 * 28 * 28)
        labels = struct.pack(">4BI", 0, 0, 8, 1, 2) + bytes([label] * 2)
        (folder / f"{subset}-images-idx3-ubyte.gz").write_bytes(gzip.compress(images, mtime=0))
        (folder / f"{subset}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(labels, mtime=0))


def test_another_archive_under_the_same_path(clone: Clone, tmp_path: Path) -> None:
    mine, placed = tmp_path / "my archive.zip", clone.root / "data/lgg/archive.zip"
    clone.set(lgg__download__source=str(mine))
    for content in ("first", "second"):
        mine.write_bytes(archive(content))
        assert clone.repro("lgg-download") == ["lgg-download"]
        assert placed.read_bytes() == mine.read_bytes()
    assert clone.repro("lgg-download") == []
    assert "up to date" in clone.run("dvc", "status", "lgg-download").stdout
    mine.write_bytes(archive("third"))
    assert "modified" in clone.run("dvc", "status", "lgg-download").stdout
    mine.write_bytes(archive("first"))
    assert clone.repro("lgg-download") == []  # restored from the run-cache, where the first one is known
    assert placed.read_bytes() == mine.read_bytes()


def test_an_archive_at_the_root_which_git_does_not_know(clone: Clone) -> None:
    mine = clone.root / "lgg-mri-segmentation.zip"
    clone.set(lgg__download__source=mine.name)
    for content in ("first", "second"):
        mine.write_bytes(archive(content))
        assert clone.repro("lgg-download") == ["lgg-download"]
    assert mine.name not in clone.run("git", "status", "--porcelain").stdout


def test_another_file_in_the_same_folder(clone: Clone, tmp_path: Path) -> None:
    clone.set(mnist__download__source=str(tmp_path / "mnist"))
    for label in (1, 2):
        digits(tmp_path / "mnist", label)
        assert clone.repro("mnist-download") == ["mnist-download"]
        assert np.unique(read_digits(clone.root / "data/mnist/digits.npz").y_test).tolist() == [label]
    assert clone.repro("mnist-download") == []
