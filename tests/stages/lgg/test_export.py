"""lgg-export: what it writes is the network that was scored, and predict takes it."""

import json
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
import torch

from stages.errors import BadInput
from stages.lgg.export import main
from stages.lgg.sharing import graph
from stages.lgg.unet.checkpoint import load_model
from tests.stages.lgg import labs, test_evaluate
from tests.stages.lgg.sharing.test_card import METRICS, patients

DATA, MODEL, OUT, CARD = (Path(name) for name in ("data/lgg", "models/lgg", "models/lgg-export", "card.md"))
METRICS_FILE, PATIENTS = Path("evaluate.json"), Path("patients.csv")


@pytest.fixture(autouse=True)
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    test_evaluate.write_data(DATA)
    for name, seed in (("last", 1), ("epoch-002", 2)):
        labs.network(MODEL / f"{name}.pt", seed)
    METRICS_FILE.write_text(json.dumps({**METRICS, "checkpoint": "last"}))
    patients().to_csv(PATIENTS, index=False, na_rep="nan")


def export(opset: int = 18) -> None:
    main(DATA, MODEL, metrics=METRICS_FILE, patients=PATIENTS, out=OUT, card=CARD, opset=opset)


@pytest.mark.parametrize(("checkpoint", "file"), [("last", "last.pt"), (2, "epoch-002.pt")])
def test_the_network_that_was_scored_is_exported(
    checkpoint: str | int, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    METRICS_FILE.write_text(json.dumps({**METRICS, "checkpoint": checkpoint}))
    export()
    scored, back = load_model(MODEL / file), load_model(OUT / "unet.safetensors")
    assert (back.about, back.epoch) == (scored.about, scored.epoch)
    weights = scored.unet.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in back.unet.state_dict().items())
    onnx.checker.check_model(onnx.load(OUT / "unet.onnx"))
    assert CARD.read_text().startswith("# A U-Net")
    assert capsys.readouterr().out.startswith("unet.onnx says what torch says, within ")


def test_other_files_beside_it_stay() -> None:
    OUT.mkdir()
    (OUT / "mine.txt").write_text("mine")
    export()
    assert sorted(path.name for path in OUT.iterdir()) == ["mine.txt", "unet.onnx", "unet.safetensors"]


def test_a_second_export_leaves_the_same_bytes() -> None:
    def files() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in [*OUT.iterdir(), CARD]}

    export()
    first = files()
    export()
    assert files() == first


def test_a_file_that_says_something_else_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graph, "scale_intensity", lambda images: images.float() / 100)
    with pytest.raises(BadInput, match=r"unet.onnx: probabilities for TCGA_DU_0002_20000101 differ by .* from torch's"):
        export()
    assert not OUT.exists()
    assert not CARD.exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda: METRICS_FILE.unlink(), "evaluate.json: no such file; run dvc repro lgg-evaluate"),
        (lambda: METRICS_FILE.write_text("{"), "evaluate.json: not the metrics of an evaluation"),
        (lambda: METRICS_FILE.write_text("[]"), r"not the metrics of an evaluation \(a list\)"),
        (lambda: METRICS_FILE.write_text("{}"), r"\(no calibration_within_10_px_of_tumour\)"),
        (
            lambda: PATIENTS.write_text("patient\n"),
            "patients.csv: has no column institution; run dvc repro",
        ),
        (
            lambda: labs.network(MODEL / "last.pt", trained_on=("p3",)),
            "last.pt: trained on p3, whom patients.csv has as scored; run dvc repro lgg-evaluate",
        ),
        (
            lambda: labs.network(MODEL / "last.pt", scaling="volume"),
            "evaluate.json: its scaling is slice, and that of models/lgg/last.pt is volume",
        ),
        (lambda: (MODEL / "last.pt").unlink(), "last.pt: no such checkpoint, there is epoch-002"),
        (lambda: (MODEL / "last.pt").write_bytes(b"x"), "last.pt: not a file of tensors"),
    ],
)
def test_what_is_refused(spoil: Callable[[], object], said: str) -> None:
    spoil()
    with pytest.raises(BadInput, match=said):
        export()
    assert not OUT.exists()
