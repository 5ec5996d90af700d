"""Archives that must be refused, and why."""

import io
import re
import struct
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile

from stages.errors import BadInput
from stages.lgg.layouts.patients import Stack
from stages.lgg.scans.archive import FILE_BYTES, open_archive
from tests.stages.lgg import archives
from tests.stages.lgg.archives import COUNTS, Files

FIRST, SECOND, THIRD = COUNTS
SLICE = f"kaggle_3m/{SECOND}/{SECOND}_7.tif"
MASK = f"kaggle_3m/{SECOND}/{SECOND}_7_mask.tif"
FLAGS, METHOD, SIZE, COMMENT_LENGTH = 8, 10, 24, 32  # offsets in an entry of the zip's directory


def open_once(path: Path) -> None:
    with open_archive(path):
        pass


def refused(folder: Path, content: bytes | Files) -> list[str]:
    """The problems that the archive is refused for, a line each."""
    path = folder / "archive.zip"
    path.write_bytes(content if isinstance(content, bytes) else archives.zipped(content.items()))
    with pytest.raises(BadInput) as caught:
        open_once(path)
    head, *problems = str(caught.value).splitlines()
    what = f"{path} (set lgg.download.source to another, or dvc repro --force lgg-download): "
    assert head.startswith(what)
    if not problems:
        return [head.removeprefix(what)]
    assert re.fullmatch(r"\d+ problems", head.removeprefix(what))
    return [problem.removeprefix("  - ") for problem in problems]


def without(*names: str) -> Files:
    return {name: content for name, content in archives.sound().items() if name not in names}


def test_slices_are_listed_by_patient_and_number_and_copies_counted(tmp_path: Path) -> None:
    files = archives.doubled(archives.sound())
    path = tmp_path / "archive.zip"
    path.write_bytes(archives.zipped(reversed(files.items())))
    with open_archive(path) as archive:
        found = [
            (patient.patient, name) for patient in archive.patients for name in patient.files if "mask" not in name
        ]
        assert found == [
            (patient, f"kaggle_3m/{patient}/{patient}_{number}.tif")
            for patient, count in COUNTS.items()
            for number in range(1, count + 1)
        ]
        assert archive.duplicates == len(files) / 2
        second = archive.patients[1]
        assert isinstance(second, Stack)
        assert (second.images[6], second.masks[6]) == (SLICE, MASK)
        assert np.array_equal(archive.pixels(SLICE), archives.image(SECOND, 7))
        assert np.array_equal(archive.pixels(MASK), archives.mask(7))


def test_directory_entries_noise_and_other_files_are_passed_over(tmp_path: Path) -> None:
    noise = {
        "kaggle_3m/": b"",
        f"kaggle_3m/{FIRST}/": b"",
        "kaggle_3m/.DS_Store": b"x",
        f"kaggle_3m/{FIRST}/._{FIRST}_1.tif": b"x",
        f"__MACOSX/kaggle_3m/{FIRST}/._{FIRST}_1.tif": b"x",
        "lgg-mri-segmentation/kaggle_3m/.DS_Store": b"y",
        f"kaggle_3m/{FIRST}/notes.txt": b"x",
    }
    with open_archive(archives.write(tmp_path / "archive.zip", noise | archives.sound())) as archive:
        assert [patient.patient for patient in archive.patients] == list(COUNTS)
        assert archive.duplicates == 0


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"none\.zip: no such file; run dvc repro lgg-download"):
        open_once(tmp_path / "none.zip")


@pytest.mark.parametrize("content", [b"", b"<html>Sign in</html>", archives.zipped(archives.sound().items())[:-100]])
def test_no_zip_or_a_truncated_one(tmp_path: Path, content: bytes) -> None:
    (problem,) = refused(tmp_path, content)
    assert problem.startswith("not a zip archive, or not a whole one (")


@pytest.mark.parametrize(
    "name",
    ["../x.tif", "kaggle_3m/../../x", "/etc/x", "C:/x", "c:x", "kaggle_3m\\x.tif", "..\\x", "kaggle_3m/..", "a\0b"],
)
def test_a_path_that_leaves_the_archive(tmp_path: Path, name: str) -> None:
    packed = archives.zipped([*archives.sound().items(), ("@" * len(name), b"x")])
    packed = packed.replace(b"@" * len(name), name.encode())  # zipfile itself would not write some of these
    assert f"{name!r} is not a path inside the archive" in refused(tmp_path, packed)


def test_two_dots_within_a_name_are_no_escape(tmp_path: Path) -> None:
    with open_archive(archives.write(tmp_path / "archive.zip", archives.sound() | {"kaggle_3m/a..b": b""})) as archive:
        assert [patient.patient for patient in archive.patients] == list(COUNTS)


def test_patients_of_any_name(tmp_path: Path) -> None:
    """They were refused, each with all its files, unless they were called as TCGA's."""
    names = ["1", "Müller, Anna", "sub-001", "P_1"]
    files = archives.sound(dict.fromkeys(names, 2))
    with open_archive(archives.write(tmp_path / "archive.zip", files)) as archive:
        assert [patient.patient for patient in archive.patients] == sorted(names)
        assert {patient.institution for patient in archive.patients} == {"unknown"}
    assert refused(tmp_path, files | {"kaggle_3m/a\nb/a\nb_1.tif": b"", "kaggle_3m/a\nb/a\nb_1_mask.tif": b""}) == [
        "'a\\nb' is no name"
    ]


def test_the_same_name_twice(tmp_path: Path) -> None:
    packed = archives.zipped([*archives.sound().items(), (SLICE, b"other")])
    assert refused(tmp_path, packed) == [f"{SLICE!r} stands in it 2 times"]


def test_no_patients(tmp_path: Path) -> None:
    assert refused(tmp_path, {"kaggle_3m/README.md": b""}) == ["no slice of any patient in kaggle_3m/"]
    assert refused(tmp_path, {}) == ["no slice of any patient in kaggle_3m/"]


def test_a_slice_without_mask_and_a_mask_without_slice(tmp_path: Path) -> None:
    assert refused(tmp_path, without(MASK)) == [f"{SECOND}_7 has no mask"]
    assert refused(tmp_path, without(SLICE)) == [f"{SECOND}_7 has no image"]


def test_gaps_in_the_numbers(tmp_path: Path) -> None:
    first = f"kaggle_3m/{FIRST}/{FIRST}_1"
    assert refused(tmp_path, without(SLICE, MASK, f"{first}.tif", f"{first}_mask.tif")) == [
        f"{FIRST} has slices up to 2, but none numbered 1",
        f"{SECOND} has slices up to 12, but none numbered 7",
    ]


@pytest.mark.parametrize(
    "name",
    [
        f"kaggle_3m/{FIRST}/{SECOND}_1.tif",
        f"kaggle_3m/{FIRST}/{FIRST}_0.tif",
        f"kaggle_3m/{FIRST}/{FIRST}_01.tif",
        f"kaggle_3m/{FIRST}/{FIRST}_3.TIF",
        f"kaggle_3m/{FIRST}/{FIRST}_3.tiff",
        "kaggle_3m/patient/another_1.tif",
        "kaggle_3m/patient_1.tif",
        f"{FIRST}/{FIRST}_3.tif",
    ],
)
def test_a_tiff_with_another_name_is_not_silently_left_out(tmp_path: Path, name: str) -> None:
    expected = f"{name!r} is not named kaggle_3m/<patient>/<patient>_<number>.tif or ..._mask.tif"
    assert refused(tmp_path, archives.sound() | {name: b""}) == [expected]


def test_a_duplicate_that_differs_or_has_no_original(tmp_path: Path) -> None:
    files = archives.doubled(archives.sound())
    copy, lone = archives.DUPLICATE + MASK, f"{archives.DUPLICATE}kaggle_3m/notes.txt"
    assert refused(tmp_path, files | {copy: files[copy][:-1] + b"\1", lone: b""}) == [
        f"{copy!r} differs from the file of kaggle_3m/ that it duplicates",
        f"{lone!r} duplicates no file of kaggle_3m/",
    ]


def test_encrypted_unknown_compression_and_absurd_size(tmp_path: Path) -> None:
    packed = archives.zipped(archives.sound().items())
    assert refused(tmp_path, archives.patched(packed, SLICE, FLAGS, b"\1")) == [f"{SLICE} is encrypted"]
    assert refused(tmp_path, archives.patched(packed, SLICE, METHOD, b"\x0c")) == [
        f"{SLICE} is compressed by method 12; only deflate is read"
    ]
    huge = archives.patched(packed, MASK, SIZE, struct.pack("<I", FILE_BYTES + 1))
    assert refused(tmp_path, huge) == [f"{MASK} claims {FILE_BYTES + 1} bytes; a slice has at most {FILE_BYTES}"]


def test_a_directory_that_points_before_the_archive(tmp_path: Path) -> None:
    packed = archives.zipped(archives.sound({FIRST: 1}).items())
    stated = struct.unpack("<I", packed[-6:-2])[0]  # where the directory starts; too far on moves all files back
    first = f"kaggle_3m/{FIRST}/{FIRST}_1"
    found = refused(tmp_path, packed[:-6] + struct.pack("<I", stated + 5000) + packed[-2:])
    assert found == [f"{first}{end}.tif would lie before the archive's first byte" for end in ("", "_mask")]


def test_a_damaged_directory_that_hides_patients(tmp_path: Path) -> None:
    files = archives.sound()
    packed = archives.zipped(files.items())
    last_of_first = f"kaggle_3m/{FIRST}/{FIRST}_2_mask.tif"
    hidden = archives.patched(packed, last_of_first, COMMENT_LENGTH, b"\xff\xff")
    assert refused(tmp_path, hidden) == [f"its directory should have {len(files)} entries and has 6"]


def test_only_the_first_twenty_problems_are_listed(tmp_path: Path) -> None:
    files = archives.sound({FIRST: 25})
    found = refused(tmp_path, {name: content for name, content in files.items() if "mask" not in name})
    assert len(found) == 21
    assert found[-1] == "  … and 5 more"


def damaged(folder: Path, packed: bytes) -> str:
    """What is wrong with SLICE in an archive whose directory is sound."""
    (folder / "archive.zip").write_bytes(packed)
    with open_archive(folder / "archive.zip") as archive, pytest.raises(BadInput) as caught:
        archive.pixels(SLICE)
    return str(caught.value)


def test_damaged_files(tmp_path: Path) -> None:
    stored = archives.zipped(archives.sound().items(), zipfile.ZIP_STORED)
    content = archives.sound()[SLICE]
    flipped = stored.replace(content, content[:50] + bytes([content[50] ^ 1]) + content[51:])
    assert damaged(tmp_path, flipped) == f"{SLICE} is damaged: Bad CRC-32 for file '{SLICE}'"
    assert damaged(tmp_path, stored.replace(b"PK\3\4", b"PK\0\0")) == (
        f"{SLICE} is damaged: Bad magic number for file header"
    )
    longer = archives.patched(stored, SLICE, SIZE, struct.pack("<I", len(content) + 1))
    assert damaged(tmp_path, longer) == f"{SLICE} is damaged: it has {len(content)} bytes of {len(content) + 1}"


def test_a_bomb_is_unpacked_no_further_than_it_claims(tmp_path: Path) -> None:
    files = archives.sound() | {SLICE: bytes(3 * FILE_BYTES)}
    packed = archives.patched(archives.zipped(files.items()), SLICE, SIZE, struct.pack("<I", 1000))
    tracemalloc.start()
    try:
        assert damaged(tmp_path, packed) == f"{SLICE} is damaged: Bad CRC-32 for file '{SLICE}'"
        assert tracemalloc.get_traced_memory()[1] < FILE_BYTES / 10
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "content", [b"", b"PNG", b"II*\0\xff\xff\xff\xff", archives.tiff(archives.image(FIRST, 1))[:99]]
)
def test_what_is_no_tiff(tmp_path: Path, content: bytes) -> None:
    packed = archives.zipped((archives.sound() | {SLICE: content}).items())
    assert damaged(tmp_path, packed).startswith(f"{SLICE} is no TIFF that can be read: ")


def test_a_tiff_that_claims_more_pixels_than_any_slice_has(tmp_path: Path) -> None:
    stream = io.BytesIO()
    tifffile.imwrite(stream, np.zeros((4096, 4097), np.uint8), compression="zlib")
    packed = archives.zipped((archives.sound() | {SLICE: stream.getvalue()}).items())
    assert damaged(tmp_path, packed).endswith(f"its pixels would take {4096 * 4097} bytes")
