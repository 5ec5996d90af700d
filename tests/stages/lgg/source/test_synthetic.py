"""The synthetic archive: the same bytes everywhere, and Kaggle's layout."""

import ast
import csv
import hashlib
import inspect
import io
import struct
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import ModuleType

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from stages.lgg.source import hash_random, phantom, synthetic
from stages.lgg.source.synthetic import sample_archive

SHA256 = "a98f650421542900c76a017970ca060a2409ebe498033fd42a8f05675f4d3f6c"
DUPLICATE = "lgg-mri-segmentation/"


@dataclass(frozen=True)
class Patient:
    images: NDArray[np.uint8]  # N H W 3
    masks: NDArray[np.bool_]  # N H W


@pytest.fixture(scope="module")
def archive() -> bytes:
    return sample_archive()


@pytest.fixture(scope="module")
def files(archive: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


@pytest.fixture(scope="module")
def patients(files: dict[str, bytes]) -> dict[str, Patient]:
    """Every patient once, slices in the order of their numbers."""
    counts = Counter(PurePosixPath(name).parent.name for name in files if name.startswith("kaggle_3m/TCGA"))
    return {name: patient(files, name, count // 2) for name, count in counts.items()}


def patient(files: dict[str, bytes], name: str, slices: int) -> Patient:
    paths = [f"kaggle_3m/{name}/{name}_{number}" for number in range(1, slices + 1)]
    images = [tifffile.imread(io.BytesIO(files[f"{path}.tif"])) for path in paths]
    masks = [tifffile.imread(io.BytesIO(files[f"{path}_mask.tif"])) for path in paths]
    assert {value for mask in masks for value in np.unique(mask)} <= {0, 255}
    return Patient(np.stack(images), np.stack(masks) > 0)


def test_the_bytes_are_the_same_everywhere(archive: bytes) -> None:
    assert hashlib.sha256(archive).hexdigest() == SHA256


@pytest.mark.parametrize("module", [synthetic, phantom, hash_random])
def test_there_is_no_floating_point_in_the_generator(module: ModuleType) -> None:
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        assert not isinstance(node, ast.Div), f"line {node}"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float)), f"line {node.lineno}"
        assert not (isinstance(node, ast.Attribute) and node.attr in {"mean", "std", "sqrt", "linspace"}), node.attr


def test_every_entry_is_stored_and_undated(archive: bytes) -> None:
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        for entry in opened.infolist():
            assert (entry.compress_type, entry.date_time) == (zipfile.ZIP_STORED, (1980, 1, 1, 0, 0, 0))
            assert (entry.create_system, entry.external_attr >> 16, entry.flag_bits) == (3, 0o644, 0)


def test_everything_is_there_twice_as_on_kaggle(files: dict[str, bytes]) -> None:
    once = {name: content for name, content in files.items() if not name.startswith(DUPLICATE)}
    assert len(files) == 2 * len(once)
    assert all(files[DUPLICATE + name] == content for name, content in once.items())
    assert [name for name in once if "TCGA" not in name] == ["kaggle_3m/README.md", "kaggle_3m/data.csv"]


def test_slices_are_numbered_from_one_without_a_gap(files: dict[str, bytes], patients: dict[str, Patient]) -> None:
    expected = {
        f"kaggle_3m/{name}/{name}_{number}{suffix}.tif"
        for name, patient in patients.items()
        for number in range(1, len(patient.images) + 1)
        for suffix in ("", "_mask")
    }
    assert {name for name in files if name.startswith("kaggle_3m/TCGA")} == expected


def test_the_patients_are_as_many_and_as_varied_as_real_ones(patients: dict[str, Patient]) -> None:
    assert len(patients) == 110
    assert Counter(name.split("_")[1] for name in patients) == {"DU": 33, "HT": 33, "CS": 22, "FG": 11, "EZ": 11}
    assert {len(patient.images) for patient in patients.values()} == set(range(6, 13))
    assert all(patient.masks.any() for patient in patients.values())
    masks = np.concatenate([patient.masks for patient in patients.values()])
    assert masks.any((1, 2)).mean() == pytest.approx(0.35, abs=0.01)
    assert masks.mean() == pytest.approx(0.0103, abs=0.0005)


@pytest.mark.parametrize("size", [16, 33, 64])
def test_a_tiff_is_laid_out_as_the_originals_are(size: int) -> None:
    with zipfile.ZipFile(io.BytesIO(sample_archive(patients=2, size=size))) as opened:
        tiffs = [opened.read(name) for name in opened.namelist() if name.endswith(".tif")]
    for tiff in tiffs:
        pixels = tifffile.imread(io.BytesIO(tiff))
        assert pixels.shape in {(size, size, 3), (size, size)}
        assert pixels.dtype == np.uint8
        with Image.open(io.BytesIO(tiff)) as image:
            np.testing.assert_array_equal(np.asarray(image), pixels)
        assert tiff[8 : 8 + pixels.size] == pixels.tobytes()
        assert struct.unpack("<2sHI", tiff[:8]) == (b"II", 42, 8 + pixels.size + pixels.size % 2)


def test_clinical_data_name_every_patient(files: dict[str, bytes], patients: dict[str, Patient]) -> None:
    rows = list(csv.DictReader(io.StringIO(files["kaggle_3m/data.csv"].decode())))
    assert [row["Patient"] for row in rows] == [name.rsplit("_", 1)[0] for name in patients]
    assert all(len(row) == 18 for row in rows)
    ages = [int(row["age_at_initial_pathologic"]) for row in rows if row["age_at_initial_pathologic"]]
    assert 80 < len(ages) < 110
    assert min(ages) >= 20
    assert max(ages) <= 75


def test_a_smaller_archive_holds_the_first_patients() -> None:
    with zipfile.ZipFile(io.BytesIO(sample_archive(patients=5, size=16))) as opened:
        names = {PurePosixPath(name).parent.name for name in opened.namelist() if "TCGA" in name}
    assert sorted(name.split("_")[2] for name in names) == ["0001", "0002", "0003", "0004", "0005"]
