"""Data from outside of the graph, under real `dvc`: what is replaced under the same path is noticed."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from stages.lgg.tables import read_patients, read_split
from stages.mnist.digits import read_digits
from tests.stages.lgg import folders
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


def test_another_file_in_a_folder_of_patients(clone: Clone, tmp_path: Path) -> None:
    mine, placed = folders.write(tmp_path / "patients", folders.bids()), clone.root / "data/lgg/archive.zip"
    clone.set(lgg__download__source=str(mine))
    assert clone.repro("lgg-download") == ["lgg-download"]
    before = placed.read_bytes()
    assert clone.repro("lgg-download") == []
    mask = "derivatives/lesions/sub-001/anat/sub-001_label-lesion_mask.nii.gz"
    folders.write(mine, {mask: folders.nifti(folders.lesion(2))})
    assert "modified" in clone.run("dvc", "status", "lgg-download").stdout
    assert clone.repro("lgg-download") == ["lgg-download"]
    assert placed.read_bytes() != before
    folders.write(mine, folders.bids())
    assert clone.repro("lgg-download") == []  # restored
    assert placed.read_bytes() == before


@pytest.mark.training
def test_a_folder_of_patients_becomes_a_table_of_metrics(clone: Clone, tmp_path: Path) -> None:
    """Five NIfTI patients, and not a line of code."""
    mine = folders.write(tmp_path / "patients", folders.bids())
    clone.set(
        lgg__download__source=str(mine), lgg__pack__side=16, lgg__split__validation=2, lgg__train__epochs=1,
        lgg__train__network__width=8, lgg__train__network__depth=3, lgg__train__threads=1, lgg__evaluate__threads=1,
    )  # fmt: skip
    assert clone.repro("lgg-evaluate")[-1] == "lgg-evaluate"
    scored = pd.read_csv(clone.root / "results/lgg/patients.csv", dtype={"patient": "str"})
    validation = read_split(clone.root / "data/lgg/split.csv").query("subset == 'validation'")["patient"]
    assert sorted(scored["patient"]) == sorted(validation)
    assert len(validation) == 2
    assert scored["tumour_ml"].gt(0).all()  # its volumes say how large a voxel is
    table = read_patients(clone.root / "data/lgg/patients.csv")
    assert table["patient"].tolist() == [f"sub-{number:03}" for number in range(1, 6)]
    assert table["missing"].tolist() == ["", "", "post", "pre post", ""]
    assert table["slice_mm"].tolist() == [5.0] * 5


def test_another_file_in_the_same_folder(clone: Clone, tmp_path: Path) -> None:
    clone.set(mnist__download__source=str(tmp_path / "mnist"))
    for label in (1, 2):
        digits(tmp_path / "mnist", label)
        assert clone.repro("mnist-download") == ["mnist-download"]
        assert np.unique(read_digits(clone.root / "data/mnist/digits.npz").y_test).tolist() == [label]
    assert clone.repro("mnist-download") == []
