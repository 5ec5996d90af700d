"""Folders as labs have them, through download, pack, split and weigh, with nothing but parameters."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from stages.errors import BadInput
from stages.lgg import download, pack, split, weigh
from stages.lgg.tables import read_patients, read_slices, read_split, read_weights
from stages.lgg.truth import open_truth
from tests.stages.lgg import archives, folders

Files = dict[str, bytes]
DATA = Path("data/lgg")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run the four stages on a folder of files."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")

    def stages(files: Files, side: int | None = 16, validation: int = 1) -> None:
        mine = folders.write(tmp_path / "mine", files)
        Path("params.yaml").write_text(
            f"lgg:\n  download: {{source: {mine}, version: 2, sha256: null}}\n  pack: {{side: {side or 'null'}}}\n"
            f"  split: {{seed: 1, validation: {validation}, folds: null, fold: null}}\n"
        )
        download.main(archive=DATA / "archive.zip")
        pack.main(
            DATA / "archive.zip",
            images=DATA / "images.npy",
            masks=DATA / "masks.npy",
            slices=DATA / "slices.csv",
            patients=DATA / "patients.csv",
            truth=DATA / "truth.npz",
        )
        split.main(DATA / "slices.csv", split=DATA / "split.csv")
        weigh.main(DATA / "slices.csv", DATA / "split.csv", weights=DATA / "weights.csv")

    return stages


def test_five_patients_in_bids(run: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    run(folders.bids())
    assert capsys.readouterr().out.splitlines() == [
        "left out 1 of 18 files, which are no sequence or mask, such as participants.tsv",
        "FLAIR stands in for sequences that are missing: pre-contrast of 1 and post-contrast of 2 patients",
        "packed 5 patients: 25 slices of 16 px, 10 with tumour",
    ]
    assert (DATA / "patients.csv").read_text().splitlines() == [
        "patient,institution,height,width,row_mm,column_mm,slice_mm,missing",
        "sub-001,unknown,20,16,0.9,1.1,5.0,",
        "sub-002,unknown,20,16,0.9,1.1,5.0,",
        "sub-003,unknown,20,16,0.9,1.1,5.0,post",
        "sub-004,unknown,20,16,0.9,1.1,5.0,pre post",
        "sub-005,unknown,20,16,0.9,1.1,5.0,",
    ]
    truth = open_truth(DATA / "truth.npz", read_patients(DATA / "patients.csv"))
    for number, masks in enumerate(truth.values(), 1):
        assert np.array_equal(masks, np.moveaxis(folders.lesion(number) == 1, 2, 0))
    slices, weights = read_slices(DATA / "slices.csv"), read_weights(DATA / "weights.csv")
    assert set(read_split(DATA / "split.csv")["patient"]) == set(slices["patient"])
    assert len(weights) == 20
    images = np.load(DATA / "images.npy")
    assert images.shape == (25, 16, 16, 3)
    assert images.max() > 200
    assert not images[:, :, 0].any()  # of 20 px two are padding on either side, of 16 one and a half


def test_without_a_side_slices_are_padded_to_a_square(run: Callable[..., None]) -> None:
    run(folders.bids(), side=None)
    images, masks = np.load(DATA / "images.npy"), np.load(DATA / "masks.npy")
    assert images.shape == (25, 20, 20, 3)
    assert not images[:, :, :2].any()
    assert not images[:, :, 18:].any()
    truth = open_truth(DATA / "truth.npz", read_patients(DATA / "patients.csv"))
    assert np.array_equal(masks[:, :, 2:18] == 1, np.concatenate(list(truth.values())))


def test_nnunet(run: Callable[..., None]) -> None:
    run(folders.nnunet())
    assert read_patients(DATA / "patients.csv")["patient"].tolist() == ["BRATS_001", "BRATS_002"]
    assert read_patients(DATA / "patients.csv")["missing"].tolist() == ["", ""]


def test_a_table_wins_and_names_institutions(run: Callable[..., None]) -> None:
    names = [f"sub-{number:03}/anat/sub-{number:03}" for number in (1, 2)]
    rows = [
        f"{patient},{name}_T1w.nii.gz,{name}_FLAIR.nii.gz,,derivatives/lesions/{name}_label-lesion_mask.nii.gz,{place}"
        for patient, name, place in zip(("Anna", "Bert"), names, ("Bonn", ""), strict=True)
    ]
    table = "\n".join(["patient,pre,flair,post,mask,institution", *rows]).encode()
    run(folders.bids() | {"patients.csv": table})
    found = read_patients(DATA / "patients.csv")
    assert found[["patient", "institution", "missing"]].to_numpy().tolist() == [
        ["Anna", "Bonn", "post"],
        ["Bert", "unknown", "post"],
    ]
    assert read_slices(DATA / "slices.csv")["institution"].tolist() == ["Bonn"] * 5 + ["unknown"] * 5


@pytest.mark.parametrize("compression", [None, "lzw", "zlib"])
def test_pictures_of_patients_of_any_name(run: Callable[..., None], compression: str | None) -> None:
    """`sub-001` was refused, with every file named."""
    files = Files()
    for patient, size in (("sub-001", 32), ("Müller 2", 24)):
        for number in (1, 2):
            stem = f"{patient}/{patient}_{number}"
            files[f"{stem}.tif"] = folders.tiff(archives.image(patient, number, size)[:20], compression=compression)
            files[f"{stem}_mask.png"] = folders.png(archives.mask(100, size)[:20])
    files["patients.csv"] = b"patient,row_mm,column_mm,slice_mm\nsub-001,0.5,0.5,4\n"
    run(files)
    table = read_patients(DATA / "patients.csv")
    assert table["patient"].tolist() == ["Müller 2", "sub-001"]
    assert table["institution"].tolist() == ["unknown"] * 2
    assert table["slice_mm"].fillna(0).tolist() == [0, 4]
    assert (table["height"].tolist(), table["width"].tolist()) == ([20, 20], [24, 32])


def test_a_map_of_labels_is_refused_with_what_to_do(run: Callable[..., None]) -> None:
    name = "derivatives/lesions/sub-002/anat/sub-002_label-lesion_mask.nii.gz"
    files = folders.bids() | {name: folders.nifti(folders.lesion(1) + folders.lesion(2))}
    with pytest.raises(BadInput) as caught:
        run(files)
    assert str(caught.value).endswith(
        f"{name} holds the values 0, 1, 2, of which several may be tumour; say which in a table patients.csv, with "
        "columns patient and labels, as `1 2 4`"
    )
    assert [path.name for path in DATA.iterdir()] == ["archive.zip"]
    run(files | {"patients.csv": b"patient,labels\nsub-002,1 2\n"})
    truth = open_truth(DATA / "truth.npz", read_patients(DATA / "patients.csv"))
    assert truth["sub-002"].sum() == 56
