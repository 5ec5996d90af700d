"""The stage end to end, on patients and with a network whose every result can be worked out by hand.

The network passes on FLAIR alone: its logit is 20·x − 10 for the scaled intensity x. So the prediction of a slice is
whatever is drawn bright into its FLAIR channel.
"""

import dataclasses
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.typing import NDArray

from stages.errors import BadInput, BadParameters
from stages.lgg.arrays import map_arrays
from stages.lgg.evaluate import EvaluateParams, Truth, evaluate, main
from stages.lgg.tables import read_patients, read_slices, write_table
from stages.lgg.truth import open_truth, pack_bits, write_truth
from stages.lgg.unet.checkpoint import save_unet
from stages.lgg.unet.network import Network, UNet
from stages.params import load
from tests.stages.lgg.models import about, model
from tests.support.progress import without_progress

NETWORK = Network(width=8, depth=2, norm="none", dropout=0.0)
PARAMS = EvaluateParams(checkpoint="last", threshold=0.5, batch=2, threads=1)
SIZE = 16
Square = tuple[int, int, int]  # top, left, side
TRAINED, A, B, C = "TCGA_CS_0001_20000101", "TCGA_DU_0002_20000101", "TCGA_HT_0003_20000101", "TCGA_HT_0004_20000101"
# The true and the predicted square of each slice. A's third slice has a stray pixel; B has a missed and a false slice.
STACKS: dict[str, list[tuple[Square, Square]]] = {
    TRAINED: [((0, 0, 16), (8, 8, 2)), ((0, 0, 16), (8, 8, 2))],
    A: [((4, 4, 4), (4, 4, 4)), ((4, 4, 4), (4, 6, 4)), ((0, 0, 0), (14, 14, 1))],
    B: [((4, 4, 4), (0, 0, 0)), ((0, 0, 0), (9, 9, 2))],
    C: [((0, 0, 0), (0, 0, 0))],
}


def flair_network() -> UNet:
    unet = UNet(NETWORK)
    weights = {name: torch.zeros_like(tensor) for name, tensor in unet.state_dict().items()}
    down, up = (
        [name for name in weights if name.startswith(f"{part}.0") and name.endswith("weight")]
        for part in ("down", "up")
    )
    weights[down[0]][0, 1, 1, 1] = 1  # FLAIR ...
    weights[down[1]][0, 0, 1, 1] = 1
    weights[up[0]][0, NETWORK.width, 1, 1] = 1  # ... by way of the first level, not of the one below
    weights[up[1]][0, 0, 1, 1] = 1
    weights["last.weight"][0, 0], weights["last.bias"][0] = 20, -10
    unet.load_state_dict(weights)
    return unet.eval()


def fill(pixels: NDArray[np.uint8], square: Square, value: int) -> None:
    top, left, side = square
    pixels[top : top + side, left : left + side] = value


def write_data(folder: Path) -> None:
    """images.npy, masks.npy, slices.csv and split.csv of `STACKS`."""
    squares = [pair for stack in STACKS.values() for pair in stack]
    images = np.zeros((len(squares), SIZE, SIZE, 3), dtype=np.uint8)
    masks = np.zeros((len(squares), SIZE, SIZE), dtype=np.uint8)
    images[:, 0, 0, 0] = 255  # so that every slice is scaled alike
    for image, mask, (true, predicted) in zip(images, masks, squares, strict=True):
        fill(mask, true, 1)
        fill(image[..., 1], predicted, 255)
    names = [(patient, number) for patient, stack in STACKS.items() for number in range(1, len(stack) + 1)]
    slices = pd.DataFrame(names, columns=["patient", "number"])
    slices.insert(0, "slice", range(len(slices)))
    slices.insert(2, "institution", slices["patient"].str.split("_").str[1])
    slices["tumour_px"] = masks.sum(axis=(1, 2))
    split = pd.DataFrame({"patient": list(STACKS), "subset": ["train", *["validation"] * 3]})
    folder.mkdir(parents=True)
    np.save(folder / "images.npy", images)
    np.save(folder / "masks.npy", masks)
    write_table(slices, folder / "slices.csv")
    write_table(split, folder / "split.csv")
    write_truth_of(folder, masks, slices)


def write_truth_of(folder: Path, masks: NDArray[np.uint8], slices: pd.DataFrame) -> None:
    """truth.npz and patients.csv of masks N H W."""
    stacks = {str(patient): masks[stack["slice"]] == 1 for patient, stack in slices.groupby("patient", sort=False)}
    with write_truth(folder / "truth.npz") as truth:
        for place, (patient, stack) in enumerate(stacks.items()):
            truth.add(place, patient, pack_bits(stack))
    height, width = masks.shape[1:]
    patients = pd.DataFrame({"patient": list(stacks), "institution": "CS", "height": height, "width": width})
    write_table(patients.assign(row_mm="", column_mm="", slice_mm="", missing=""), folder / "patients.csv")


def truth_of(root: Path) -> Truth:
    return open_truth(root / "data/lgg/truth.npz", read_patients(root / "data/lgg/patients.csv"))


def write_params(**changes: Any) -> None:
    values = {**dataclasses.asdict(PARAMS), **changes}
    Path("params.yaml").write_text(json.dumps({"lgg": {"evaluate": values}}))


@pytest.fixture(autouse=True)
def torch_settings() -> Iterator[None]:
    """`main` sets them for its process."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run the stage in: data, models and parameters."""
    monkeypatch.chdir(tmp_path)
    write_data(Path("data/lgg"))
    write_params()
    Path("models/lgg").mkdir(parents=True)
    save_unet(Path("models/lgg/last.pt"), NETWORK, flair_network().state_dict(), 3, about())
    return tmp_path


def evaluate_here() -> None:
    results = Path("results/lgg")
    main(
        Path("data/lgg"),
        Path("models/lgg"),
        metrics=results / "evaluate.json",
        patients=results / "patients.csv",
        figures=results / "figures",
    )


def run_here() -> subprocess.CompletedProcess[str]:
    results = "--metrics results/lgg/evaluate.json --patients results/lgg/patients.csv --figures results/lgg/figures"
    command = f"-W error -m stages.lgg.evaluate data/lgg models/lgg {results}".split()
    path = [str(Path(__file__).parents[3]), *sys.path]
    return subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, env={"PYTHONPATH": ":".join(path)}
    )


def written() -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(Path("results").rglob("*")) if path.is_file()}


@pytest.mark.usefixtures("root")
def test_any_number_of_threads_gives_the_same_numbers() -> None:
    numbers = list[list[bytes]]()
    for threads in (1, 2, 5):
        write_params(threads=threads)
        evaluate_here()
        numbers.append([content for name, content in written().items() if not name.endswith(".png")])
    assert len(numbers[0]) == 2
    assert numbers[0] == numbers[1] == numbers[2]


def _uncertainty(slices: int, predicted_px: int) -> float:
    """Every logit is 10 or −10, so every pixel has the same entropy; at least one pixel is expected."""
    p, pixels = 1 / (1 + math.exp(10)), slices * SIZE**2
    entropy = -p * math.log(p) - (1 - p) * math.log1p(-p)
    return pixels * entropy / max(predicted_px * (1 - p) + (pixels - predicted_px) * p, 1)


def test_scores_are_those_worked_out_by_hand(root: Path) -> None:
    slices = read_slices(root / "data/lgg/slices.csv")
    images, _ = map_arrays(root / "data/lgg", len(slices), NETWORK.multiple)
    scores = evaluate(
        model(flair_network()), images, truth_of(root), slices[slices["patient"] != TRAINED], PARAMS
    ).scores
    expected = pd.DataFrame(
        {
            "patient": [A, B, C],
            "institution": ["DU", "HT", "HT"],
            "slices": [3, 2, 1],
            "tumour_px": [32, 16, 0],
            "predicted_px": [33, 4, 0],
            "dice": [2 * 24 / 65, 0, math.nan],
            "dice_largest_component": [2 * 24 / 64, 0, math.nan],
            "nsd": [1, math.nan, math.nan],
            "hd95_px": [1, math.nan, math.nan],  # 0 on the first slice, 2 on the second
            "missed_slices": [0, 1, 0],
            "false_slices": [1, 1, 0],
            "relative_volume_error": [1 / 32, -12 / 16, math.nan],
            "uncertainty": [_uncertainty(3, 33), _uncertainty(2, 4), _uncertainty(1, 0)],
            **dict.fromkeys(["tumour_ml", "predicted_ml", "nsd_2mm", "hd95_mm"], math.nan),  # no spacing is known
        }
    )
    pd.testing.assert_frame_equal(scores.patients, expected, check_dtype=False, rtol=1e-4)
    assert scores.metrics["dice_per_volume_mean"] == pytest.approx(24 / 65)
    assert scores.metrics["with_largest_component_only"]["dice_per_volume_mean"] == pytest.approx(24 / 64)
    assert scores.metrics["with_largest_component_only"]["false_slices"] == 1
    assert scores.metrics["slice_sensitivity"] == pytest.approx(2 / 3)
    assert scores.metrics["slice_specificity"] == pytest.approx(1 / 3)
    assert scores.metrics["by_institution"]["HT"] == {"patients": 2, "dice_per_volume_mean": 0}
    # Logits are 10 and −10, so the cross-entropy is log(1 + e⁻¹⁰) where right and 10 more where wrong: 16 px of the
    # second slice, 1 of the third, 16 and 4 of the next two. Batches: A's three slices and B's first; B's last and C's.
    right, wrong = math.log1p(math.exp(-10)), [(16 + 1 + 16) / (4 * SIZE**2), 4 / (2 * SIZE**2)]
    cross_entropy = right + 10 * sum(wrong) / 2
    assert scores.metrics["tutorial_batch4_binary_cross_entropy"] == pytest.approx(cross_entropy, rel=1e-4)
    near = scores.metrics["calibration_within_10_px_of_tumour"]
    assert near["negative_log_likelihood"] == pytest.approx(right + 10 * 32 / near["pixels"], rel=1e-4)
    assert scores.bins["pixels"].iloc[1:-1].sum() == 0


def test_scores_are_on_the_grid_of_the_scan(root: Path) -> None:
    """A's scan has twice the pixels a side, and his true square has one row more than twice the packed one."""
    slices = read_slices(root / "data/lgg/slices.csv")
    images, _ = map_arrays(root / "data/lgg", len(slices), NETWORK.multiple)
    one = slices[slices["patient"] == A].iloc[:1]
    scan = np.zeros((1, 32, 32), dtype=np.bool_)
    scan[0, 8:17, 8:16] = True
    scores, masks = evaluate(model(flair_network()), images, {A: scan}, one, PARAMS)
    # From a pixel inside to one outside the logit goes from 10 to −10, and is 0 on the edge: 8 × 8 px are predicted.
    assert scores.patients[["tumour_px", "predicted_px", "dice"]].to_numpy().tolist() == [
        [72, 64, pytest.approx(2 * 64 / (72 + 64))]
    ]
    packed = np.unpackbits(masks[2], count=SIZE**2).reshape(SIZE, SIZE)
    assert (packed.sum(), packed[4:8, 4:8].sum()) == (16, 16)


@pytest.mark.parametrize("batch", [1, 3, 100])
def test_the_batch_of_inference_changes_nothing(root: Path, batch: int) -> None:
    slices = read_slices(root / "data/lgg/slices.csv").iloc[2:]
    images, _ = map_arrays(root / "data/lgg", len(slices) + 2, NETWORK.multiple)
    one, other = (
        evaluate(model(flair_network()), images, truth_of(root), slices, dataclasses.replace(PARAMS, batch=some)).scores
        for some in (2, batch)
    )
    pd.testing.assert_frame_equal(one.patients, other.patients)
    assert json.dumps(one.metrics) == json.dumps(other.metrics)


def test_a_higher_threshold_predicts_less(root: Path) -> None:
    images = np.load(root / "data/lgg/images.npy")
    images[2, 4, 4:8, 1] = 140  # one row of the first square: x = 0.549, logit 0.98, probability 0.727
    slices = read_slices(root / "data/lgg/slices.csv").iloc[2:]
    for threshold, expected in ((0.72, 33), (0.74, 29)):
        params = dataclasses.replace(PARAMS, threshold=threshold)
        scores = evaluate(model(flair_network()), images, truth_of(root), slices, params).scores
        assert scores.patients["predicted_px"].tolist() == [expected, 4, 0]
        assert scores.metrics["threshold"] == threshold


def test_the_command_writes_everything_prints_the_headline_and_is_otherwise_silent(root: Path) -> None:
    done = run_here()
    assert (done.returncode, without_progress(done.stderr)) == (0, [])
    assert done.stdout == (
        "dice_per_volume_mean 0.369 (95 % interval 0.000 to 0.738, 2 patients, threshold 0.5, checkpoint last)\n"
    )
    text = (root / "results/lgg/evaluate.json").read_text()
    metrics = json.loads(text)
    assert text == json.dumps(metrics, indent=2) + "\n"
    first, *others = metrics
    assert first == "dice_per_volume_mean"
    assert others == sorted(others)
    assert metrics["dice_per_volume_mean"] == pytest.approx(24 / 65)
    assert metrics["dice_per_volume_empty_in_both"] == 1
    assert (metrics["patients"], metrics["slices"], metrics["slice_size_px"]) == (3, 6, SIZE)
    assert (metrics["checkpoint"], metrics["checkpoint_chosen_on_validation"]) == ("last", False)
    table = (root / "results/lgg/patients.csv").read_text()
    assert table.splitlines()[3].startswith(f"{C},HT,1,0,0,nan,nan,nan,nan,0,0,nan,0.127")
    assert pd.read_csv(root / "results/lgg/patients.csv")["dice"].tolist() == pytest.approx(
        [48 / 65, 0, math.nan], nan_ok=True
    )
    names = {path.name for path in (root / "results/lgg/figures").iterdir()}
    assert names == {
        f"{name}.png" for name in ("masks", "augmentations", "predictions", "reliability", "worst-patients")
    }
    assert {path.name for path in (root / "results/lgg").iterdir()} == {"evaluate.json", "patients.csv", "figures"}


def test_training_patients_are_never_looked_at_and_the_bytes_are_the_same_again(root: Path) -> None:
    evaluate_here()
    first = written()
    images, masks = (np.load(root / f"data/lgg/{name}.npy") for name in ("images", "masks"))
    images[:2], masks[:2] = 99, 0
    np.save(root / "data/lgg/images.npy", images)
    np.save(root / "data/lgg/masks.npy", masks)
    evaluate_here()
    assert written() == first
    assert TRAINED.encode() not in b"".join(first.values())


def test_the_best_checkpoint_is_marked_as_chosen_on_these_patients(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_params(checkpoint="best")
    shutil.copy(root / "models/lgg/last.pt", root / "models/lgg/best.pt")
    evaluate_here()
    assert capsys.readouterr().out.endswith("checkpoint best, chosen on these very patients)\n")
    assert json.loads((root / "results/lgg/evaluate.json").read_text())["checkpoint_chosen_on_validation"] is True


def test_an_epoch_is_found_by_its_number(root: Path) -> None:
    write_params(checkpoint=12)
    (root / "models/lgg/last.pt").rename(root / "models/lgg/epoch-012.pt")
    evaluate_here()
    metrics = json.loads((root / "results/lgg/evaluate.json").read_text())
    assert (metrics["checkpoint"], metrics["checkpoint_chosen_on_validation"]) == (12, True)


def test_the_largest_component_alone_where_that_was_fixed_beforehand(root: Path) -> None:
    write_params(largest_component=True, flip=True, precision="bfloat16")
    evaluate_here()
    metrics = json.loads((root / "results/lgg/evaluate.json").read_text())
    assert metrics["dice_per_volume_mean"] == pytest.approx(24 / 64)
    assert metrics["with_all_components"]["dice_per_volume_mean"] == pytest.approx(24 / 65)
    assert (metrics["largest_component"], metrics["flip"], metrics["precision"]) == (True, True, "bfloat16")


def reshape(name: str, change: Callable[[NDArray[np.uint8]], NDArray[Any]]) -> Callable[[], object]:
    path = Path(f"data/lgg/{name}.npy")
    return lambda: np.save(path, change(np.load(path)))


def no_tumour() -> None:
    write_table(
        pd.DataFrame({"patient": list(STACKS), "subset": [*["train"] * 3, "validation"]}), Path("data/lgg/split.csv")
    )


def all_train() -> None:
    write_table(pd.DataFrame({"patient": list(STACKS), "subset": "train"}), Path("data/lgg/split.csv"))


def broken_weights() -> None:
    weights = {name: torch.full_like(tensor, math.nan) for name, tensor in flair_network().state_dict().items()}
    save_unet(Path("models/lgg/last.pt"), NETWORK, weights, 3, about())


def save_about(**changes: Any) -> None:
    save_unet(Path("models/lgg/last.pt"), NETWORK, flair_network().state_dict(), 3, about(**changes))


def many_known() -> None:
    table = pd.read_csv("data/lgg/slices.csv")
    table["patient"] = [TRAINED, *(f"P{number}" for number in range(7))]
    write_table(table, Path("data/lgg/slices.csv"))
    subsets = ["train", *["validation"] * 7]
    write_table(pd.DataFrame({"patient": table["patient"], "subset": subsets}), Path("data/lgg/split.csv"))
    save_about(trained_on=tuple(table["patient"]))


BAD_INPUTS: dict[str, tuple[Callable[[], object], str]] = {
    "no checkpoint": (
        lambda: Path("models/lgg/last.pt").rename("models/lgg/best.pt"),
        r"models/lgg/last.pt: no such checkpoint, there is best; change lgg.evaluate.checkpoint or lgg.train.keep",
    ),
    "damaged checkpoint": (lambda: Path("models/lgg/last.pt").write_bytes(b"x" * 99), r"models/lgg/last.pt: "),
    "patients of training": (
        lambda: save_about(trained_on=(TRAINED, B, C)),
        rf"models/lgg/last.pt: trained on {B}, {C}, whom split.csv has for validation; run dvc repro lgg-train",
    ),
    "many patients of training": (
        many_known,
        r"last.pt: trained on P0, P1, P2, P3, P4 and 2 more, whom split.csv has for validation",
    ),
    "another side": (
        lambda: save_about(side=32),
        r"models/lgg/last.pt: trained on slices of 32 px, these have 16 px; change lgg.pack.side",
    ),
    "nobody to score": (all_train, r"split.csv: all patients train, and none is left to score; change lgg.split"),
    "no numbers": (broken_weights, rf"checkpoint last: no finite numbers for {A}"),
    "no images": (
        lambda: Path("data/lgg/images.npy").unlink(),
        r"data/lgg/images.npy: no such file; run dvc repro lgg-pack",
    ),
    "no array": (
        lambda: Path("data/lgg/masks.npy").write_text("?"),
        r"data/lgg/masks.npy: not an array .*; run dvc repro",
    ),
    "empty file": (
        lambda: Path("data/lgg/masks.npy").write_text(""),
        r"data/lgg/masks.npy: not an array .*; run dvc repro",
    ),
    "too few": (
        reshape("images", lambda all_: all_[1:]),
        r"images.npy: holds uint8 \(7, 16, 16, 3\), not uint8 \(8, 16, 16, 3\)",
    ),
    "one channel": (reshape("images", lambda all_: all_[..., :1]), r"images.npy: holds uint8 \(8, 16, 16, 1\)"),
    "floats": (reshape("images", lambda all_: all_ / 255), r"images.npy: holds float64 \(8, 16, 16, 3\), not uint8"),
    "other masks": (
        reshape("masks", lambda all_: all_[:, :8]),
        r"masks.npy: holds uint8 \(8, 8, 16\), not uint8 \(8, 16, 16\)",
    ),
    "masks of 255": (reshape("masks", lambda all_: all_ * 255), r"masks.npy: has the value 255, not only 0 and 1"),
    "odd size": (
        lambda: [reshape(name, lambda all_: all_[:, :15])() for name in ("images", "masks")],
        r"images.npy: 15 × 16 px, not multiples of 2; set lgg.pack.side",
    ),
    "no tumour": (no_tumour, r"data/lgg/split.csv: no validation patient has tumour; change lgg.split.seed"),
    "no truth": (
        lambda: Path("data/lgg/truth.npz").unlink(),
        r"data/lgg/truth.npz: no such file; run dvc repro lgg-pack",
    ),
    "too few masks in truth": (
        lambda: write_truth_of(
            Path("data/lgg"), np.load("data/lgg/masks.npy")[:-2], read_slices(Path("data/lgg/slices.csv")).iloc[:-2]
        ),
        rf"truth.npz: 1 masks of {B}, not 2; run dvc repro lgg-pack",
    ),
    "no split": (lambda: Path("data/lgg/split.csv").unlink(), r"data/lgg/split.csv: no such file"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
@pytest.mark.usefixtures("root")
def test_bad_input_is_named_and_nothing_is_written(case: str) -> None:
    spoil, message = BAD_INPUTS[case]
    spoil()
    with pytest.raises(BadInput, match=message) as raised:
        evaluate_here()
    assert "\n" not in str(raised.value)
    assert not Path("results").exists()


def test_bad_input_ends_the_command_with_one_line(root: Path) -> None:
    (root / "models/lgg/last.pt").unlink()
    done = run_here()
    assert (done.returncode, done.stdout) == (2, "")
    problem, remedy = "no such checkpoint, there is none", "change lgg.evaluate.checkpoint or lgg.train.keep"
    assert done.stderr == f"error: models/lgg/last.pt: {problem}; {remedy}\n"
    assert not (root / "results").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"checkpoint": "first"}, "lgg.evaluate.checkpoint is 'first': should be last, best or the number of an epoch"),
        ({"checkpoint": 0}, "lgg.evaluate.checkpoint is 0: should be last, best or the number of an epoch"),
        ({"checkpoint": True}, "lgg.evaluate.checkpoint is True: should be last, best or the number of an epoch"),
        ({"threshold": 0}, "lgg.evaluate.threshold is 0: input should be greater than 0"),
        ({"threshold": 1}, "lgg.evaluate.threshold is 1: input should be less than 1"),
        ({"batch": 0}, "lgg.evaluate.batch is 0: input should be greater than or equal to 1"),
        ({"threads": 0}, "lgg.evaluate.threads is 0"),
        ({"treshold": 0.5}, "lgg.evaluate.treshold is not a known parameter"),
    ],
)
def test_bad_parameters_are_named(root: Path, change: dict[str, Any], message: str) -> None:
    write_params(**change)
    with pytest.raises(BadParameters) as raised:
        evaluate_here()
    assert message in str(raised.value)
    assert not (root / "results").exists()


@pytest.mark.parametrize("checkpoint", ["last", "best", 1, 20])
def test_checkpoints_are_taken_as_they_are(root: Path, checkpoint: str | int) -> None:
    write_params(checkpoint=checkpoint)
    assert load(EvaluateParams, "lgg.evaluate", root / "params.yaml").checkpoint == checkpoint
