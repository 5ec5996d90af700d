"""Masks of scans that nobody has outlined, from a network and a folder."""

import csv
import errno
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from stages.errors import BadInput
from stages.lgg import predict
from stages.lgg.unet.checkpoint import Model, load_model
from tests.stages.lgg import labs


def test_volumes_and_slices_give_the_same_mask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Oblique and anisotropic: the mask lies where the scan lies."""
    stack, out = labs.pixels(), tmp_path / "out"
    labs.volumes(tmp_path / "in/v", "anna", stack)
    labs.slices(tmp_path / "in/p", "bert", stack)
    model = labs.network(tmp_path / "last.pt")
    predict.main(
        scans=[tmp_path / "in"],
        out=out,
        model=model,
        probabilities=True,
        uncertainty=True,
        preview=True,
        statistics=True,
        report=True,
        threads=1,
    )
    volume = labs.volume(out / "anna_mask.nii.gz")
    mask = np.asarray(volume.dataobj).transpose(2, 1, 0)
    pictures = np.stack([tifffile.imread(out / f"bert/bert_{number}_mask.tif") for number in range(1, 6)])
    assert 0 < mask.sum() < mask.size
    assert np.array_equal(mask * np.uint8(255), pictures)  # a Dice of 1
    assert np.array_equal(volume.affine, labs.volume(tmp_path / "in/v/anna_FLAIR.nii.gz").affine)
    rows = {row["scan"]: row for row in csv.DictReader((out / "statistics.csv").read_text().splitlines())}
    assert float(rows["anna"]["volume_ml"]) == pytest.approx(mask.sum() * 0.9 * 1.1 * 5 / 1000, abs=1e-6)
    assert rows["bert"]["volume_ml"] == ""
    assert rows["bert"]["tumour_px"] == str(mask.sum())
    report = json.loads((out / "report.json").read_text())
    assert list(report["model"]["sha256"]) == ["last.pt"]
    assert len(report["scans"]) == 2
    said = capsys.readouterr()
    assert said.err.count("not a medical device") == 1
    assert "bert: " in said.out
    assert (out / "bert_preview.png").is_file()
    assert (out / "anna_uncertainty.nii.gz").is_file()
    assert not list(out.rglob(".partial*"))


def test_any_number_of_threads_and_of_scans_writes_the_same_bytes(tmp_path: Path) -> None:
    model = labs.network(tmp_path / "last.pt")
    for name in ("anna", "bert", "carl"):
        labs.volumes(tmp_path / "in" / name, name, labs.pixels(shape=(9, 16, 16)))
    written = list[dict[str, bytes]]()
    for run, (folder, threads) in enumerate([("in", 1), ("in", 2), ("in", 8), ("in/anna", 1), ("in/anna", 3)]):
        out = tmp_path / f"out-{run}"
        predict.main(scans=[tmp_path / folder], out=out, model=model, probabilities=True, batch=2, threads=threads)
        written.append({path.name: path.read_bytes() for path in out.iterdir()})
    assert len(written[0]) == 6
    assert written[0] == written[1] == written[2]
    assert written[3] == written[4]
    assert written[3].items() <= written[0].items()


def test_dicom_gives_the_mask_of_the_same_volume_in_nifti(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stack = labs.pixels()
    labs.volumes(tmp_path / "in/n", "nifti", stack)
    labs.study(tmp_path / "in/dicom", stack)
    out = tmp_path / "out"
    model = labs.network(tmp_path / "last.pt")
    predict.main(scans=[tmp_path / "in"], out=out, model=model, statistics=True, report=True, threads=1)
    mine, other = (labs.volume(out / f"{name}_mask.nii.gz") for name in ("dicom", "nifti"))
    assert np.asarray(mine.dataobj).sum() > 0
    assert np.array_equal(np.asarray(mine.dataobj), np.asarray(other.dataobj))
    assert mine.affine == pytest.approx(other.affine, abs=1e-5)
    rows = {row["scan"]: row for row in csv.DictReader((out / "statistics.csv").read_text().splitlines())}
    assert rows["dicom"]["volume_ml"] == rows["nifti"]["volume_ml"]
    told = {one["scan"]: one for one in json.loads((out / "report.json").read_text())["scans"]}
    assert sorted(told["dicom"]["sha256"]) == ["flair", "post", "pre"]
    assert "secret" not in capsys.readouterr().out + (out / "report.json").read_text()


def test_many_scans_load_the_network_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        labs.volumes(tmp_path / "in", f"sub-{number}", labs.pixels(number), post=True)
    model, loaded = labs.network(tmp_path / "last.pt"), list[Path]()

    def counting(path: Path) -> Model:
        loaded.append(path)
        return load_model(path)

    monkeypatch.setattr("stages.lgg.inference.members.load_model", counting)
    predict.main(scans=[tmp_path / "in"], out=tmp_path / "out", model=model, threads=1)
    assert loaded == [model]
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_a_missing_sequence_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labs.volumes(tmp_path / "in", "a", labs.pixels(), post=True)
    predict.main(scans=[tmp_path / "in"], out=tmp_path / "out", model=labs.network(tmp_path / "m.pt"), threads=1)
    assert capsys.readouterr().out.endswith("; FLAIR stands in for post-contrast\n")


def test_a_damaged_scan_leaves_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = labs.volumes(tmp_path / "in", "a", labs.pixels())
    (folder / "a_FLAIR.nii.gz").write_bytes((folder / "a_FLAIR.nii.gz").read_bytes()[:-900])
    with pytest.raises(BadInput, match=r"a_FLAIR\.nii\.gz is damaged, or cut short"):
        predict.main(scans=[folder], out=tmp_path / "out", model=labs.network(tmp_path / "m.pt"), threads=1)
    assert "damaged" not in capsys.readouterr().err  # said once, by the error
    assert not (tmp_path / "out").exists()


def test_damaged_scans_do_not_stop_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not one without FLAIR, and not a file that the disk does not give."""
    for name in "abcde":
        labs.volumes(tmp_path / "in" / name, name, labs.pixels())
    (tmp_path / "in/b/b_FLAIR.nii.gz").write_bytes(b"")
    (tmp_path / "in/d/d_FLAIR.nii.gz").unlink()
    whole = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if path.name == "e_T1w.nii.gz":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return whole(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    out = tmp_path / "out"
    with pytest.raises(BadInput, match="2 of 5 scans were done"):
        model = labs.network(tmp_path / "m.pt")
        predict.main(scans=[tmp_path / "in"], out=out, model=model, threads=1, statistics=True, report=True)
    names = sorted(path.name for path in out.iterdir())
    assert names == ["a_mask.nii.gz", "c_mask.nii.gz", "report.json", "statistics.csv"]
    assert [row.split(",")[0] for row in (out / "statistics.csv").read_text().splitlines()] == ["scan", "a", "c"]
    assert list(json.loads((out / "report.json").read_text())["failed"]) == ["b", "d", "e"]
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("not done: ")]
    for line, words in zip(
        told, ("b_FLAIR.nii.gz is no NIfTI file", "d has no FLAIR", "Input/output error"), strict=True
    ):
        assert words in line


def test_nobody_is_scanned(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="-i names no folder"):
        predict.main(scans=[], out=tmp_path / "out", model=tmp_path / "m.pt")


def test_a_patient_whom_the_network_knows_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labs.volumes(tmp_path / "in", "sub-001", labs.pixels())
    model = labs.network(tmp_path / "m.pt", trained_on=("sub-001",))
    predict.main(scans=[tmp_path / "in"], out=tmp_path / "out", model=model, threads=1)
    assert capsys.readouterr().out.endswith("; m.pt trained on this patient\n")
    labs.volumes(tmp_path / "again", "sub-001_ses-2", labs.pixels(2))
    predict.main(scans=[tmp_path / "again"], out=tmp_path / "out", model=model, threads=1)
    assert capsys.readouterr().out.endswith("; m.pt trained on this patient\n")


def test_help_does_not_wait_for_torch() -> None:
    code = (
        "import sys, time\nfrom stages.lgg import predict\nfrom stages.command import run\n"
        "sys.argv[1:] = ['--help']\n"
        "try: run(predict.main)\nfinally: print(time.process_time() < 0.7, {'torch', 'numpy'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("True set()\n")
    assert "not a medical device" in done.stdout.lower()
