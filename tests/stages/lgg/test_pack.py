"""Packing: every pixel arrives, resized by hand-worked tables; what is bad is refused and nothing is written."""

import io
import os
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from subprocess import PIPE
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stages.errors import BadInput, BadParameters
from stages.lgg.formats.tiff import plain_pixels
from stages.lgg.pack import PackParams, main, measure, pack
from stages.lgg.scans.archive import open_archive
from stages.lgg.tables import read_patients, read_slices
from stages.lgg.truth import open_truth, write_truth
from stages.params import load
from tests.stages.lgg import archives
from tests.stages.lgg.archives import COUNTS, Files
from tests.support.patience import PATIENCE

Pixels = NDArray[np.uint8]

ROOT = Path(__file__).parents[3]
FIRST, SECOND, THIRD = COUNTS
N = sum(COUNTS.values())
SLICE = f"kaggle_3m/{SECOND}/{SECOND}_7.tif"
ADVICE = "(set lgg.download.source to another, or dvc repro --force lgg-download)"
MASK = f"kaggle_3m/{SECOND}/{SECOND}_7_mask.tif"
KEYS = [(patient, number) for patient, count in COUNTS.items() for number in range(1, count + 1)]
IMAGES = np.stack([archives.image(*key) for key in KEYS])
MASKS = np.stack([archives.mask(number) for _, number in KEYS]) // 255
OUTPUTS = ("images.npy", "masks.npy", "slices.csv", "patients.csv", "truth.npz")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text("lgg: {pack: {side: null}}\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_main(files: Files | bytes | None = None, *, path: Path = Path("archive.zip")) -> None:
    if files is not None:
        path.write_bytes(files if isinstance(files, bytes) else archives.zipped(files.items()))
    main(path, **{Path(name).stem: Path(name) for name in OUTPUTS})


def outputs() -> tuple[Pixels, Pixels, str]:
    return np.load("images.npy"), np.load("masks.npy"), Path("slices.csv").read_bytes().decode()


def problems(files: Files) -> list[str]:
    with pytest.raises(BadInput) as caught:
        run_main(files)
    head, *lines = str(caught.value).splitlines()
    assert not any(Path(name).exists() or Path(f".partial.{name}").exists() for name in OUTPUTS)
    return [line.removeprefix("  - ") for line in lines] or [head.split("lgg-download): ")[1]]


@pytest.mark.usefixtures("folder")
def test_every_pixel_and_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    run_main(archives.doubled(archives.sound()))
    images, masks, table = outputs()
    assert images.dtype == masks.dtype == np.uint8
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(masks, MASKS)
    rows = [f"{row},{patient},{patient[5:7]},{number},{number - 1}" for row, (patient, number) in enumerate(KEYS)]
    assert table == "\n".join(["slice,patient,institution,number,tumour_px", *rows, ""])
    assert read_slices(Path("slices.csv"))["tumour_px"].tolist() == MASKS.sum((1, 2)).tolist()
    assert capsys.readouterr().out.splitlines() == [
        f"dropped lgg-mri-segmentation/kaggle_3m/, which duplicates {2 * N + 2} files",
        f"packed 3 patients: {N} slices of 16 px, {N - 3} with tumour",
    ]


@pytest.mark.usefixtures("folder")
def test_the_patients_and_their_masks_as_they_were() -> None:
    run_main(archives.sound())
    assert Path("patients.csv").read_text().splitlines() == [
        "patient,institution,height,width,row_mm,column_mm,slice_mm,missing",
        *(f"{patient},{patient[5:7]},16,16,,,," for patient in COUNTS),
    ]
    truth = open_truth(Path("truth.npz"), read_patients(Path("patients.csv")))
    assert np.array_equal(np.concatenate(list(truth.values())), MASKS == 1)


@pytest.mark.usefixtures("folder")
def test_a_sequence_that_is_flair_throughout_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    files = archives.sound()
    for (patient, number), image in zip(KEYS, IMAGES, strict=True):
        channels = {FIRST: [1, 1, 1], SECOND: [0, 1, 1]}.get(patient, [0, 1, 2])
        if (patient, number) != (FIRST, 1):
            files[f"kaggle_3m/{patient}/{patient}_{number}.tif"] = archives.tiff(
                np.ascontiguousarray(image[..., channels])
            )
    run_main(files)
    assert read_patients(Path("patients.csv"))["missing"].tolist() == ["", "post", ""]  # in all slices but one is not
    first = f"kaggle_3m/{FIRST}/{FIRST}_1.tif"
    run_main(files | {first: archives.tiff(np.ascontiguousarray(archives.image(FIRST, 1)[..., [1, 1, 1]]))})
    assert read_patients(Path("patients.csv"))["missing"].tolist() == ["pre post", "post", ""]
    told = "FLAIR stands in for sequences that are missing: pre-contrast of 1 and post-contrast of 2 patients"
    assert capsys.readouterr().out.splitlines()[-2] == told


def mixed() -> Files:
    """Patients of three sizes, none of which is that of another."""
    files = archives.sound({FIRST: 2}, size=16) | archives.sound({SECOND: 3}, size=32)
    for number in (1, 2):
        stem = f"kaggle_3m/{THIRD}/{THIRD}_{number}"
        files[f"{stem}.tif"] = archives.tiff(archives.image(THIRD, number, 24)[:20])
        files[f"{stem}_mask.tif"] = archives.tiff(archives.mask(100, 24)[:20])
    return files


@pytest.mark.usefixtures("folder")
def test_mixed_sizes_need_a_side() -> None:
    Path("archive.zip").write_bytes(archives.zipped(mixed().items()))
    with pytest.raises(BadParameters) as caught:
        run_main()
    assert str(caught.value) == (
        f"params.yaml: lgg.pack.side is null, but slices are from 16 px ({FIRST}) to 32 px ({SECOND}) a side; "
        "set it to the side to resize all to, in px"
    )
    assert sorted(path.name for path in Path().iterdir()) == ["archive.zip", "params.yaml"]


@pytest.mark.usefixtures("folder")
def test_mixed_sizes_are_resized_to_a_side() -> None:
    """They were refused with a side as well."""
    Path("params.yaml").write_text("lgg: {pack: {side: 16}}\n", encoding="utf-8")
    run_main(mixed())
    images, masks, _ = outputs()
    assert np.array_equal(images[:2], IMAGES[:2])
    halved = archives.image(SECOND, 1, 32).reshape(16, 2, 16, 2, 3).sum((1, 3), dtype=np.int64)
    assert np.array_equal(images[2], (halved + 2) // 4)
    assert not images[5, 0].any()  # of 24 px two above are padding, of 16 one and a third
    assert images[5, 2:14].all(axis=-1).mean() > 0.9
    table = read_patients(Path("patients.csv"))
    assert list(zip(table["height"].tolist(), table["width"].tolist(), strict=True)) == [(16, 16), (32, 32), (20, 24)]
    truth = open_truth(Path("truth.npz"), table)
    assert np.array_equal(truth[THIRD], np.stack([archives.mask(100, 24)[:20] == 255] * 2))
    assert masks[5].sum() == pytest.approx(99 * (16 / 24) ** 2, abs=8)


@pytest.mark.usefixtures("folder")
def test_an_inverted_mask_is_refused() -> None:
    """1,000 pixels of tumour became 64,536."""
    mask = np.zeros((256, 256), np.uint8)
    mask.flat[:1000] = 255
    stem = f"kaggle_3m/{FIRST}/{FIRST}_1"
    inverted = archives.tiff(255 - mask).replace(struct.pack("<HHII", 262, 3, 1, 1), struct.pack("<HHII", 262, 3, 1, 0))
    assert np.array_equal(tifffile.imread(io.BytesIO(inverted)), 255 - mask)
    files = {f"{stem}.tif": archives.tiff(archives.image(FIRST, 1, 256)), f"{stem}_mask.tif": inverted}
    (only,) = problems(files)
    assert only == (
        f"{stem}_mask.tif is no TIFF that can be read: it says that 0 is white, so what is tumour may be background; "
        "save it with 0 as black"
    )


@pytest.mark.usefixtures("folder")
def test_order_directories_and_noise_do_not_change_a_bit(capsys: pytest.CaptureFixture[str]) -> None:
    files = archives.sound()
    run_main(files)
    first = [Path(name).read_bytes() for name in OUTPUTS]
    extra = {"kaggle_3m/": b"", f"kaggle_3m/{FIRST}/": b"", "kaggle_3m/.DS_Store": b"", f"__MACOSX/{SLICE}": b""}
    run_main(dict(reversed((files | extra).items())))
    assert [Path(name).read_bytes() for name in OUTPUTS] == first
    assert "dropped" not in capsys.readouterr().out


def tifffile_bytes(pixels: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {"compression": "lzw"},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "predictor": True},
        {"tile": (16, 16)},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"rowsperstrip": 3},
        {"planarconfig": "contig"},
        {"metadata": None, "software": False, "resolution": (2.0, 2.0)},
    ],
)
@pytest.mark.usefixtures("folder")
def test_any_other_tiff_goes_through_tifffile(options: dict[str, Any]) -> None:
    image = tifffile_bytes(archives.image(SECOND, 7), **{"photometric": "rgb"} | options)
    mask = tifffile_bytes(archives.mask(7), **options | {"photometric": "minisblack"})
    run_main(archives.sound() | {SLICE: image, MASK: mask})
    images, masks, _ = outputs()
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(masks, MASKS)


def packed(folder: Path, image: Pixels, mask: Pixels, size: int) -> tuple[Pixels, Pixels, int]:
    """One slice through `pack`: its image, its mask and its pixels of tumour."""
    stem = f"kaggle_3m/{FIRST}/{FIRST}_1"
    path = folder / "one.zip"
    archives.write(path, {f"{stem}.tif": archives.tiff(image), f"{stem}_mask.tif": archives.tiff(mask)})
    images, masks = np.empty((1, size, size, 3), np.uint8), np.empty((1, size, size), np.uint8)
    with open_archive(path) as archive, write_truth(folder / "truth.npz") as truth:
        pack(archive, measure(archive), images, masks, truth, threads=1)
    return images[0], masks[0], int(np.count_nonzero(masks[0]))


def grey(rows: list[list[int]]) -> Pixels:
    return np.repeat(np.array(rows, np.uint8)[..., None], 3, axis=2)


def test_resizing_to_half_by_hand(tmp_path: Path) -> None:
    image = grey([[0, 1, 255, 255], [0, 1, 255, 254], [10, 20, 0, 0], [30, 41, 0, 1]])
    mask = np.array([[1, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1]], np.uint8) * 255
    small, tumour, px = packed(tmp_path, image, mask, 2)
    # means: 2/4, 1019/4, 101/4, 1/4; a half is rounded up
    assert np.array_equal(small, grey([[1, 255], [25, 0]]))
    # tumour: two of four pixels are enough, one is not
    assert tumour.tolist() == [[1, 0], [1, 1]]
    assert px == 3


def test_resizing_from_three_to_two_by_hand(tmp_path: Path) -> None:
    image = grey([[90, 0, 0], [0, 9, 0], [0, 0, 0]])
    mask = np.array([[0, 255, 0], [0, 255, 0], [0, 0, 255]], np.uint8)
    small, tumour, px = packed(tmp_path, image, mask, 2)
    # a packed pixel covers 2.25: the corner whole, two edges by half, a quarter of the middle
    # 90 + 9/4 = 92.25 -> 41; 9/4 -> 1 everywhere else
    assert np.array_equal(small, grey([[41, 1], [1, 1]]))
    # above: 1/2 + 1/4 = 0.75 of 2.25; below left: 1/4; below right: 1 + 1/4 = 1.25, the only one from 1.125 on
    assert tumour.tolist() == [[0, 0], [0, 1]]
    assert px == 1


def test_channels_are_kept_apart(tmp_path: Path) -> None:
    image = np.zeros((4, 4, 3), np.uint8) + np.array([10, 100, 200], np.uint8)
    small, _, _ = packed(tmp_path, image, np.zeros((4, 4), np.uint8), 3)
    assert np.array_equal(small, np.zeros((3, 3, 3), np.uint8) + np.array([10, 100, 200], np.uint8))


@pytest.mark.usefixtures("folder")
def test_tumour_is_counted_after_resizing() -> None:
    Path("params.yaml").write_text("lgg: {pack: {side: 16}}\n", encoding="utf-8")
    run_main(archives.sound(size=32))
    images, masks, _ = outputs()
    assert images.shape == (N, 16, 16, 3)
    whole = np.stack([archives.image(*key, size=32) for key in KEYS]).reshape(N, 16, 2, 16, 2, 3)
    assert np.array_equal(images, (whole.sum((2, 4), dtype=np.int64) + 2) // 4)
    tumour = read_slices(Path("slices.csv"))["tumour_px"].tolist()
    assert tumour == masks.sum((1, 2)).tolist()
    assert tumour[2:14] == [(number - 1) // 2 for number in range(1, 13)]  # a row of them: two side by side are half


@pytest.mark.usefixtures("folder")
def test_all_bad_files_are_named_at_once() -> None:
    stems = [f"kaggle_3m/{SECOND}/{SECOND}_{number}" for number in range(1, 13)]
    odd = archives.mask(3)
    odd[5, 5] = 128
    bad = {
        f"{stems[1]}.tif": archives.tiff(archives.mask(2)),
        f"{stems[2]}_mask.tif": archives.tiff(odd),
        f"{stems[3]}.tif": archives.tiff(archives.image(SECOND, 4, 32)),
        f"{stems[3]}_mask.tif": archives.tiff(archives.mask(4, 32)),
        f"{stems[4]}.tif": tifffile_bytes(archives.image(SECOND, 5).astype(np.uint16), photometric="rgb"),
        f"{stems[9]}_mask.tif": b"no TIFF",
    }
    *found, last = problems(archives.doubled(archives.sound() | bad))
    assert last.startswith(f"{stems[9]}_mask.tif is no TIFF that can be read: ")
    assert found == [
        f"{stems[1]}.tif is 16×16 uint8, not 16×16×3 uint8",
        f"{stems[2]}_mask.tif holds the value 128, not only 0 and 255",
        f"{stems[3]}.tif is 32×32×3 uint8, not 16×16×3 uint8",
        f"{stems[3]}_mask.tif is 32×32 uint8, not 16×16 uint8",
        f"{stems[4]}.tif is 16×16×3 uint16, not 16×16×3 uint8",
    ]


@pytest.mark.usefixtures("folder")
def test_the_shape_is_that_of_the_first_sound_slice() -> None:
    first, second = (f"kaggle_3m/{FIRST}/{FIRST}_{number}" for number in (1, 2))
    wide = archives.tiff(archives.image(FIRST, 1)[:12])
    assert problems(archives.sound() | {f"{second}.tif": wide}) == [f"{second}.tif is 12×16×3 uint8, not 16×16×3 uint8"]
    assert problems(archives.sound() | {f"{first}.tif": b"", f"{second}.tif": wide}) == [
        f"{first}.tif is no TIFF that can be read: it does not begin as one",
        f"{first}_mask.tif is 16×16 uint8, not 12×16 uint8",
        f"{second}_mask.tif is 16×16 uint8, not 12×16 uint8",
    ]
    files = archives.sound({FIRST: 2})
    grey = {name: archives.tiff(archives.mask(2)) for name in files if name.endswith(("_1.tif", "_2.tif"))}
    assert problems(files | grey) == [
        f"{name} is 16×16 uint8, not H×W×3 of uint8 or uint16, up to 2364 px" for name in grey
    ]


@pytest.mark.usefixtures("folder")
def test_a_bad_archive_leaves_earlier_outputs_alone() -> None:
    run_main(archives.sound())
    before = {path.name: path.read_bytes() for path in Path().iterdir() if path.name != "archive.zip"}
    with pytest.raises(BadInput):
        run_main(archives.sound() | {MASK: b""})
    assert {path.name: path.read_bytes() for path in Path().iterdir() if path.name != "archive.zip"} == before


@given(at=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@example(at=0.9831236673428961, value=0)  # a name of no length
@settings(max_examples=150, deadline=None)
def test_a_damaged_archive_is_refused_or_gives_the_same_slices(
    at: float, value: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    whole = archives.zipped(archives.doubled(archives.sound({FIRST: 2})).items())
    place = int(at * len(whole))
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
    images, masks = np.zeros((2, 16, 16, 3), np.uint8), np.zeros((2, 16, 16), np.uint8)
    try:
        with open_archive(path) as archive, write_truth(path.with_suffix(".npz")) as truth:
            pack(archive, measure(archive), images, masks, truth, threads=1)
    except BadInput:
        return
    assert np.array_equal(images, IMAGES[:2])
    assert np.array_equal(masks, MASKS[:2])


@pytest.mark.usefixtures("folder")
def test_memory_does_not_grow_with_the_archive() -> None:
    counts = {FIRST: 40, SECOND: 40}
    Path("archive.zip").write_bytes(archives.zipped(archives.sound(counts, size=128).items()))
    tracemalloc.start()
    try:
        run_main()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < Path("images.npy").stat().st_size / 3


@pytest.mark.parametrize("size", [15, 2049, 64.5, "half"])
def test_sizes_out_of_range_are_refused(folder: Path, size: object) -> None:
    (folder / "params.yaml").write_text(f"lgg: {{pack: {{side: {size}}}}}\n", encoding="utf-8")
    with pytest.raises(BadParameters, match=r"lgg\.pack\.side"):
        load(PackParams, "lgg.pack")


def start(folder: Path, archive: str, *prefix: str) -> "subprocess.Popen[str]":
    named = [f"--{Path(name).stem}={name}" for name in OUTPUTS]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    call = [*prefix, sys.executable, "-W", "error", "-m", "stages.lgg.pack", archive, *named]
    return subprocess.Popen(
        call,
        cwd=folder,
        env=environment,
        stdout=PIPE,
        stderr=PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )


def command(folder: Path, archive: str, *prefix: str) -> "subprocess.CompletedProcess[str]":
    with start(folder, archive, *prefix) as process:
        out, err = process.communicate(timeout=PATIENCE)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def test_the_command(folder: Path) -> None:
    archives.write(folder / "archive.zip", archives.sound())
    done = command(folder, "archive.zip")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"packed 3 patients: {N} slices of 16 px, {N - 3} with tumour\n",
        "",
    )
    assert np.array_equal(np.load(folder / "images.npy"), IMAGES)


def test_the_command_refuses_in_one_line(folder: Path) -> None:
    broken = archives.tiff(archives.image(SECOND, 7))[:-30]
    archives.write(folder / "archive.zip", archives.sound() | {SLICE: broken})
    for archive, reason in (("params.yaml", "not a zip archive"), ("archive.zip", f"{SLICE} is no TIFF")):
        failed = command(folder, archive)
        assert failed.returncode == 2
        (line,) = failed.stderr.splitlines()
        assert line.startswith(f"error: {archive} {ADVICE}: {reason}")
        assert sorted(path.name for path in folder.iterdir()) == ["archive.zip", "params.yaml"]


def test_no_room_on_the_disk_is_one_line_and_leaves_nothing(folder: Path) -> None:
    archives.write(folder / "archive.zip", archives.sound(size=64))
    failed = command(folder, "archive.zip", "bash", "-c", 'ulimit -f 50; exec "$@"', "limited")
    assert failed.returncode == 2
    assert failed.stderr == "error: .partial.images.npy: File too large\n"
    assert sorted(path.name for path in folder.iterdir()) == ["archive.zip", "params.yaml"]


REAL_ZIP = pytest.mark.skipif("GLIAFLOW_LGG_ZIP" not in os.environ, reason="GLIAFLOW_LGG_ZIP names no real archive")
REAL_TREE = pytest.mark.skipif("GLIAFLOW_LGG_TREE" not in os.environ, reason="GLIAFLOW_LGG_TREE names no real files")


@REAL_ZIP
def test_real_tiffs_need_no_decoder() -> None:
    with open_archive(Path(os.environ["GLIAFLOW_LGG_ZIP"])) as archive:
        for name in archive.patients[0].files:
            assert plain_pixels(archive.read(name)) is not None


@REAL_ZIP
def test_ctrl_c_ends_it_at_once_and_leaves_nothing(folder: Path) -> None:
    with start(folder, os.environ["GLIAFLOW_LGG_ZIP"]) as process:
        while not (folder / ".partial.masks.npy").exists():
            time.sleep(0.01)
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert err == "error: interrupted; nothing half-written was left\n"
    assert [path.name for path in folder.iterdir()] == ["params.yaml"]


@REAL_ZIP
@REAL_TREE
@pytest.mark.usefixtures("folder")
def test_real_slices_are_those_of_tifffile(capsys: pytest.CaptureFixture[str]) -> None:
    run_main(path=Path(os.environ["GLIAFLOW_LGG_ZIP"]))
    assert "packed 50 patients: 1846 slices of 256 px, 673 with tumour" in capsys.readouterr().out
    images, masks = np.load("images.npy", mmap_mode="r"), np.load("masks.npy", mmap_mode="r")
    table = read_slices(Path("slices.csv"))
    assert table["patient"].nunique() == 50
    assert (table["tumour_px"] > 0).sum() == 673
    for row, patient, number in zip(table["slice"], table["patient"], table["number"], strict=True):
        stem = Path(os.environ["GLIAFLOW_LGG_TREE"]) / "kaggle_3m" / patient / f"{patient}_{number}"
        assert np.array_equal(images[row], tifffile.imread(f"{stem}.tif"))
        assert np.array_equal(masks[row] * np.uint8(255), tifffile.imread(f"{stem}_mask.tif"))
