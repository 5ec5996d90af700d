import dataclasses
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from pydantic import TypeAdapter, ValidationError
from torchvision.models import get_model

from stages.errors import BadInput, BadParameters
from stages.lgg import train as stage
from stages.lgg.pretrained import weights as pretrained
from stages.lgg.pretrained.weights import Pretrained
from stages.lgg.scans.intensity import Scaling, brightness
from stages.lgg.tables import write_table
from stages.lgg.train import Epoch, TrainParams, _validate, load_slices, train
from stages.lgg.unet import resume
from stages.lgg.unet.batches import Slices
from stages.lgg.unet.checkpoint import load_model, load_tensors, save_tensors, save_unet
from stages.lgg.unet.losses import segmentation_loss
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.models import about
from tests.support.patience import PATIENCE
from tests.support.progress import without_progress

ROOT = Path(__file__).parents[3]
LINE = [sys.executable, "-m", "stages.lgg.train", "data", "--model", "model", "--curves", "curves"]
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "PATH": ""}
SIZE = 16
CPU = torch.device("cpu")
KEPT = {"unet", "mean"}  # of a state
VALUES: dict[str, Any] = {
    "seed": 1,
    "epochs": 3,
    "batch": 4,
    "network": {"width": 8, "depth": 2, "norm": "batch", "dropout": 0.2},
    "start": {"weights": "none", "layers": "all", "rate": 0.1},
    "loss": {"bce": 0.5, "dice": 0.5},
    "optimizer": {
        "name": "adamw",
        "learning_rate": 0.01,
        "momentum": 0.9,
        "weight_decay": 0.01,
        "schedule": "one-cycle",
    },
    "augment": {"scale": 0.05, "rotation_degrees": 15, "flip": 0.5},
    "precision": "float32",
    "threads": 1,
    "keep": "last-and-best",
    "licence": "CC0-1.0",
}


def params(**changes: object) -> TrainParams:
    return TypeAdapter(TrainParams).validate_python(VALUES | changes)


def squares(count: int, seed: int) -> Slices:
    """Noise with a bright square in the second channel of most slices; four slices a volume."""
    draw = np.random.default_rng(seed)
    images = draw.integers(0, 60, (count, SIZE, SIZE, 3), dtype=np.uint8)
    masks = np.zeros((count, SIZE, SIZE), np.uint8)
    for index, (top, left) in enumerate(draw.integers(0, SIZE - 6, (count, 2))):
        if index % 4:
            masks[index, top : top + 6, left : left + 6] = 1
    images[..., 1] += 120 * masks
    return Slices(torch.from_numpy(images), torch.from_numpy(masks), torch.arange(count) // 4)


TRAINING, VALIDATION = squares(21, 1), squares(8, 2)  # 21: the last batch is one slice
EVEN = np.full(21, 1 / 21)


def copied(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in weights.items()}


def run(chosen: TrainParams, state: dict[str, Any] | None = None, start: Pretrained | None = None) -> list[Epoch]:
    """All epochs, their states copied as they come since training goes on in place."""
    return [
        Epoch(epoch.metrics, {**epoch.state, **{kind: copied(epoch.state[kind]) for kind in KEPT & epoch.state.keys()}})
        for epoch in train(TRAINING, EVEN, VALIDATION, chosen, state, start)
    ]


def equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_training_learns_the_squares() -> None:
    epochs = run(params(epochs=15))
    assert epochs[-1].metrics["validation/dice_per_volume_mean"] > 0.9
    assert epochs[-1].metrics["train/loss"] < epochs[0].metrics["train/loss"] / 2


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
def test_a_resumed_training_has_the_bits_of_an_unbroken_one(tmp_path: Path, name: str, schedule: str) -> None:
    chosen = params(optimizer=VALUES["optimizer"] | {"name": name, "schedule": schedule})
    unbroken = run(chosen)
    for epoch in itertools.islice(train(TRAINING, EVEN, VALIDATION, chosen), 1):
        save_tensors(epoch.state, tmp_path / "state.pt")
    torch.rand(7)  # whatever else draws in between
    resumed = run(chosen, load_tensors(tmp_path / "state.pt"))
    assert [epoch.metrics for epoch in resumed] == [epoch.metrics for epoch in unbroken[1:]]
    assert equal(resumed[-1].state["unet"], unbroken[-1].state["unet"])


KINDS: dict[str, dict[str, Any]] = {
    "mean": {"mean": 0.9},
    "resnet": {"network": {"encoder": "resnet18", "width": 8, "depth": 3, "norm": "batch", "dropout": 0.2}},
    "slow": {"start": {"weights": "old.pt", "layers": "all", "rate": 0.1}},
    "frozen": {"start": {"weights": "old.pt", "layers": "encoder", "rate": 0}},
    "inserted": {
        "network": VALUES["network"] | {"inserted": 1}, "start": {"weights": "old.pt", "layers": "all", "rate": 0},
    },
}  # fmt: skip


@pytest.fixture
def start(tmp_path: Path) -> Callable[[TrainParams], Pretrained | None]:
    """What training starts from, of weights that an epoch of another seed made."""

    def read(chosen: TrainParams) -> Pretrained | None:
        if chosen.start.weights == "none":
            return None
        other = params(seed=9, epochs=1)
        save_unet(tmp_path / "old.pt", other.network, run(other)[0].state["unet"], 1, about(trained_on=("old",)))
        return pretrained.read(tmp_path / chosen.start.weights, chosen.network, chosen.start.layers)

    return read


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_of_each_kind_is_resumed_with_the_bits_of_an_unbroken_one(
    kind: str, tmp_path: Path, start: Callable[[TrainParams], Pretrained | None]
) -> None:
    chosen = params(**KINDS[kind])
    old = start(chosen)
    unbroken = run(chosen, start=old)
    for epoch in itertools.islice(train(TRAINING, EVEN, VALIDATION, chosen, start=old), 1):
        save_tensors(epoch.state, tmp_path / "state.pt")
    resumed = run(chosen, load_tensors(tmp_path / "state.pt"), old)
    assert [epoch.metrics for epoch in resumed] == [epoch.metrics for epoch in unbroken[1:]]
    assert equal(resumed[-1].state["unet"], unbroken[-1].state["unet"])
    if old:  # what is frozen has the bits that it was given, after training too
        moved = {
            name for name, value in old.weights.items() if not torch.equal(value, unbroken[-1].state["unet"][name])
        }
        assert moved == (set(old.weights) if kind == "slow" else set())
        assert not equal(unbroken[-1].state["unet"], unbroken[0].state["unet"])


class _Enough(Exception):
    pass


class _OfMeta(torch.Generator):
    """There is none of tensors that have no values."""

    device = torch.device("meta")


@contextmanager
def _seeded(*_: object) -> Iterator[torch.Generator]:
    yield _OfMeta()


@pytest.mark.parametrize("scaling", ["slice", "volume"])
@pytest.mark.parametrize("waits", [False, True])
def test_no_step_waits_for_the_device(monkeypatch: pytest.MonkeyPatch, scaling: Scaling, waits: bool) -> None:
    """Tensors on the device "meta" have no values, so whatever needs one on the host, or branches by it, fails.

    In place of the fused optimiser, which does not know that device, stands torch's plain one; precision is float32.
    """
    adamw = torch.optim.AdamW
    monkeypatch.setattr(stage, "seeded", _seeded)
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: nullcontext())
    monkeypatch.setattr(torch.optim, "AdamW", lambda *given, **named: adamw(*given, **named | {"fused": False}))
    if waits:
        waiting: Any = lambda *a, **k: [one * one.item() for one in segmentation_loss(*a, **k)]  # noqa: E731
        monkeypatch.setattr("stages.lgg.train.segmentation_loss", waiting)
    images = torch.empty(21, SIZE, SIZE, 3, dtype=torch.uint8, device="meta")
    volumes, known = torch.empty(21, dtype=torch.int64, device="meta"), torch.empty(6, 2, 3, device="meta")
    slices = Slices(images, images[..., 0], volumes, known if scaling == "volume" else None)
    steps = itertools.count(1)

    def step() -> None:
        if next(steps) == 2:
            raise _Enough

    with pytest.raises(RuntimeError if waits else _Enough, match="meta" if waits else None):
        next(train(slices, EVEN, VALIDATION, params(scaling=scaling, mean=0.99), on_step=step))


def test_the_seed_decides_and_the_global_one_is_left_alone() -> None:
    before = torch.get_rng_state()
    one, again, other = run(params(epochs=1)), run(params(epochs=1)), run(params(epochs=1, seed=2))
    assert equal(one[0].state["unet"], again[0].state["unet"])
    assert not equal(one[0].state["unet"], other[0].state["unet"])
    assert torch.equal(before, torch.get_rng_state())


def test_a_loss_that_is_no_number_stops_with_advice() -> None:
    wild = VALUES["optimizer"] | {"name": "sgd", "learning_rate": 1e30, "schedule": "constant"}
    with pytest.raises(BadParameters, match=r"no number in epoch 1: lower lgg\.train\.optimizer\.learning_rate"):
        run(params(optimizer=wild, network=VALUES["network"] | {"norm": "none"}))


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_dice_per_volume_is_that_of_whole_volumes_whatever_the_batch(batch: int) -> None:
    """Against the definition worked with numpy."""
    unet = _unet(run(params(epochs=1))[0])
    images = VALIDATION.images.permute(0, 3, 1, 2).float()
    low, high = images.amin((1, 2, 3), True), images.amax((1, 2, 3), True)
    with torch.no_grad():
        predicted = unet((images - low) / (high - low + 1e-5))[:, 0].numpy() >= 0
    truth, volume = VALIDATION.masks.numpy() == 1, VALIDATION.volumes.numpy()
    dice = [
        2 * (predicted & truth)[volume == v].sum() / (predicted[volume == v].sum() + truth[volume == v].sum())
        for v in range(2)
    ]
    shown = _validate(unet, VALIDATION, params(batch=batch))
    assert shown["validation/dice_per_volume_mean"] == pytest.approx(np.mean(dice))


def _unet(epoch: Epoch) -> UNet:
    unet = UNet(params().network)
    unet.load_state_dict(epoch.state["unet"])
    return unet.eval()


def test_bfloat16_learns_too_and_leaves_float32_weights() -> None:
    epochs = run(params(epochs=8, precision="bfloat16"))
    assert epochs[-1].metrics["validation/loss"] < epochs[0].metrics["validation/loss"]
    assert {value.dtype for name, value in epochs[0].state["unet"].items() if "num_batches" not in name} == {
        torch.float32
    }


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the arrays, the tables and params.yaml, to be run in."""
    data = tmp_path / "data"
    data.mkdir()
    both = [torch.cat([one, other]).numpy() for one, other in zip(TRAINING[:2], VALIDATION[:2], strict=True)]
    np.save(data / "images.npy", both[0])
    np.save(data / "masks.npy", both[1])
    patients = [f"TCGA_DU_{index // 4}_1" for index in range(21)] + ["TCGA_HT_0_1"] * 4 + ["TCGA_HT_1_1"] * 4
    numbers = pd.Series(patients).groupby(patients).cumcount() + 1
    write_table(
        pd.DataFrame(
            {
                "slice": range(29),
                "patient": patients,
                "institution": [name.split("_")[1] for name in patients],
                "number": numbers,
                "tumour_px": both[1].sum((1, 2)),
            }
        ),
        data / "slices.csv",
    )
    names = sorted(set(patients))
    subsets = ["validation" if "HT" in name else "train" for name in names]
    write_table(pd.DataFrame({"patient": names, "subset": subsets}), data / "split.csv")
    write_table(pd.DataFrame({"slice": range(21), "weight": EVEN}), data / "weights.csv")
    write_params(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_params(folder: Path, **changes: object) -> None:
    (folder / "params.yaml").write_text(json.dumps({"lgg": {"train": VALUES | changes}}))  # JSON is YAML


def command(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(LINE, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)


def test_the_command_writes_weights_and_curves_and_leaves_no_state(workspace: Path) -> None:
    ended = command(workspace)
    assert (ended.returncode, without_progress(ended.stderr)) == (0, [])
    assert sorted(path.name for path in (workspace / "model").iterdir()) == ["best.pt", "last.pt"]
    found, said, epoch = load_model(workspace / "model/last.pt")
    assert (found.network, epoch) == (params().network, 3)
    assert said.trained_on == tuple(sorted(said.trained_on))
    assert len(said.trained_on) == 6
    assert {name[5:7] for name in said.validated_on} == {"HT"}
    assert (said.side, said.scaling, said.licence, said.torch) == (SIZE, "slice", "CC0-1.0", torch.__version__)
    logged = json.loads((workspace / "curves/metrics.json").read_text())
    assert said.metrics["validation/loss"] == logged["validation"]["loss"]
    rows = (workspace / "curves/plots/metrics/validation/dice_per_volume_mean.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["step", "0", "1", "2"]
    assert list((workspace / ".state/lgg-train").iterdir()) == []
    assert list((workspace / "runs").rglob("events.*"))
    weights = (workspace / "model/last.pt").read_bytes()

    write_params(workspace, keep="all")
    assert command(workspace).returncode == 0
    names = sorted(path.name for path in (workspace / "model").iterdir())
    assert names == ["best.pt", "epoch-001.pt", "epoch-002.pt", "epoch-003.pt", "last.pt"]
    assert (workspace / "model/last.pt").read_bytes() == weights
    assert (workspace / "model/epoch-003.pt").read_bytes() == weights


def test_the_command_goes_on_from_a_checkpoint_of_another_training(workspace: Path) -> None:
    assert command(workspace).returncode == 0
    (workspace / "model").rename(workspace / "old")
    write_params(
        workspace,
        network=VALUES["network"] | {"inserted": 1},
        start={"weights": "old/last.pt", "layers": "all", "rate": 0},
    )
    ended = command(workspace)
    assert (ended.returncode, without_progress(ended.stderr)) == (0, [])
    one, *others = ended.stdout.splitlines()
    assert re.fullmatch(r"old/last\.pt: \d+ tensors are loaded", one)
    assert [line.split(": inserted.0.inner.0.weight, ")[0] for line in others] == ["with first weights"]
    before, after = (load_model(workspace / name / "last.pt").unet.state_dict() for name in ("old", "model"))
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert after.keys() - before.keys() == {name for name in after if name.startswith("inserted.")}


def test_the_command_trains_a_resnet_from_torchvisions_weights(workspace: Path) -> None:
    torch.save(get_model("resnet18", weights=None).state_dict(), workspace / "resnet18.pth")
    network = KINDS["resnet"]["network"]
    start = {"weights": "resnet18.pth", "layers": "all", "rate": 0}
    write_params(workspace, network=network, start=start, epochs=1)
    ended = command(workspace)
    assert (ended.returncode, without_progress(ended.stderr)) == (0, [])
    assert "in the file and not used: layer2.0.conv1.weight, " in ended.stdout
    unet = load_model(workspace / "model/last.pt").unet
    assert unet.network == TypeAdapter(Network).validate_python(network)
    theirs = torch.load(workspace / "resnet18.pth", weights_only=True)
    assert torch.equal(unet.down.get_submodule("resnet.bn1").running_mean, theirs["bn1.running_mean"])  # type: ignore[arg-type]

    (workspace / "resnet18.pth").unlink()
    ended = command(workspace)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == (
        "error: resnet18.pth: no such file; put torchvision's resnet18-f37072fd.pth (ResNet18_Weights.IMAGENET1K_V1) "
        "there, or set lgg.train.start.weights to none\n"
    )


def test_weights_know_the_patients_of_the_weights_that_they_began_with(workspace: Path) -> None:
    other = params().network
    save_unet(
        workspace / "old.pt", other, UNet(other).state_dict(), 1, about(trained_on=("TCGA_XX_9_1", "TCGA_DU_0_1"))
    )
    write_params(workspace, start={"weights": "old.pt", "layers": "all", "rate": 0.1}, epochs=1)
    assert command(workspace).returncode == 0
    said = load_model(workspace / "model/last.pt").about
    assert said.trained_on == (*(f"TCGA_DU_{number}_1" for number in range(6)), "TCGA_XX_9_1")


@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_where_all_patients_train_nothing_is_validated(workspace: Path, scaling: str) -> None:
    names = sorted(set(pd.read_csv(workspace / "data/slices.csv")["patient"]))
    write_table(pd.DataFrame({"patient": names, "subset": "train"}), workspace / "data/split.csv")
    write_table(pd.DataFrame({"slice": range(29), "weight": np.full(29, 1 / 29)}), workspace / "data/weights.csv")
    write_params(workspace, scaling=scaling, epochs=2)
    ended = command(workspace)
    assert (ended.returncode, without_progress(ended.stderr)) == (0, [])
    assert [path.name for path in (workspace / "model").iterdir()] == ["last.pt"]
    said = load_model(workspace / "model/last.pt").about
    assert (said.trained_on, said.validated_on) == (tuple(names), ())
    assert set(said.metrics) == {"train/loss", "train/bce", "train/batch_soft_dice_loss"}
    assert "validation" not in json.loads((workspace / "curves/metrics.json").read_text())


def test_a_mean_of_weights_is_what_comes_out_and_what_is_validated(workspace: Path) -> None:
    write_params(workspace, mean=0.9, scaling="volume")
    assert command(workspace).returncode == 0
    found, said, _ = load_model(workspace / "model/last.pt")
    _, _, validation, _ = load_slices(workspace / "data", params().network, "volume", CPU)
    shown = _validate(found, validation, params(scaling="volume"))
    assert shown == pytest.approx({name: value for name, value in said.metrics.items() if name in shown}, rel=1e-5)


def test_a_log_shows_how_far_training_is(workspace: Path) -> None:
    hurried = "import stages.progress as p; p.EVERY_SECONDS = 0; import stages.command as c, stages.lgg.train as t"
    line = [sys.executable, "-c", f"{hurried}; c.run(t.main)", *LINE[3:]]
    ended = subprocess.run(line, cwd=workspace, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout) == (0, "")
    lines = ended.stderr.splitlines()
    assert len(lines) == 3 * (6 + 1)  # six steps and the end of an epoch
    assert lines[0].startswith("train: 1 of 18 steps (6 %), 00:0")
    assert lines[-1].startswith("train: 18 of 18 steps (100 %), 00:")
    assert ", epoch 3: train/loss 0." in lines[-1]


def test_ctrl_c_leaves_no_half_of_the_curves(workspace: Path) -> None:
    write_params(workspace, epochs=100_000)
    written = workspace / "curves/metrics.json"
    with subprocess.Popen(LINE, cwd=workspace, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as training:
        deadline = time.monotonic() + PATIENCE
        while not written.exists() and training.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        training.send_signal(signal.SIGINT)
        errors = training.communicate(timeout=PATIENCE)[1]
    assert training.returncode == 130
    assert errors.splitlines()[-1] == "error: interrupted; nothing half-written was left"
    assert [path for path in (workspace / "curves").rglob("*") if path.is_file()] == []
    assert not (workspace / "model").exists()


def test_the_arrays_are_dealt_by_patient(workspace: Path) -> None:
    training, weights, validation, patients = load_slices(workspace / "data", params().network, "slice", CPU)
    assert patients["validation"] == ("TCGA_HT_0_1", "TCGA_HT_1_1")
    assert torch.equal(training.images, TRAINING.images)
    assert torch.equal(validation.masks, VALIDATION.masks)
    assert validation.volumes.tolist() == [0] * 4 + [1] * 4
    assert weights.tolist() == EVEN.tolist()


def test_volumes_are_scaled_by_what_they_hold_themselves(workspace: Path) -> None:
    training, _, validation, _ = load_slices(workspace / "data", params().network, "volume", CPU)
    assert training.brightness is not None
    assert validation.brightness is not None
    assert (training.brightness.shape, validation.brightness.shape) == ((6, 2, 3), (2, 2, 3))
    last = validation.images[4:].numpy()  # of the second patient
    assert torch.equal(validation.brightness[1], torch.from_numpy(np.stack(brightness(last))).float())


@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_slices_that_stay_in_their_file_train_to_the_same_bits(
    workspace: Path, monkeypatch: pytest.MonkeyPatch, scaling: Scaling
) -> None:
    found = []
    for fit in (True, False):
        monkeypatch.setattr(stage, "fits", lambda size, _, fit=fit: fit and size == 29 * SIZE**2 * 4)
        sets = load_slices(workspace / "data", params().network, scaling, CPU)
        assert (sets.training.rows is None) == (sets.validation.rows is None) == fit
        found += list(train(sets.training, sets.weights, sets.validation, params(epochs=1, scaling=scaling)))
    assert found[0].metrics == found[1].metrics
    assert equal(found[0].state["unet"], found[1].state["unet"])


def test_memory_does_not_grow_with_the_slices(tmp_path: Path) -> None:
    """1 GB of slices trains where the process may take 400 MB more; they lie in holes of files, which take no disk."""
    program = """
import itertools, json, resource
from pathlib import Path
import numpy as np
import pandas as pd
import torch
from pydantic import TypeAdapter
from stages.lgg import train as stage

class Enough(Exception): pass

def step(steps=itertools.count(1)):
    if next(steps) % 3 == 0: raise Enough

def attempt(images, masks):
    values = json.loads(Path("values.json").read_text())
    params = TypeAdapter(stage.TrainParams).validate_python(values)
    rows = {"train": np.arange(5000), "validation": np.arange(0)}
    sets = stage.deal(images, masks, pd.Series(["p"] * 5000), rows, np.ones(5000), "slice", torch.device("cpu"))
    try:
        for _ in stage.train(sets.training, sets.weights, sets.validation, params, on_step=step): pass
    except Enough: print("trained", sets.training.rows is not None)

held = [np.lib.format.open_memmap(name, "w+", np.uint8, shape) for name, shape in (
    ("images.npy", (5000, 256, 256, 3)), ("masks.npy", (5000, 256, 256)))]
small = [one[:8].copy() for one in held]
arrays = [np.load(name, mmap_mode="r") for name in ("images.npy", "masks.npy")]
stage.fits = lambda *_: False
attempt(*arrays)  # what torch takes once, it has now
status = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
limit = int(status["VmData"].split()[0]) * 1024 + 400 * 2**20
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
attempt(*arrays)
stage.fits = lambda *_: True
try: attempt(*arrays)
except (MemoryError, RuntimeError) as error: print(type(error).__name__)
"""
    (tmp_path / "values.json").write_text(json.dumps(VALUES))
    ended = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines()[:2] == ["trained True", "trained True"], ended.stderr
    assert ended.stdout.splitlines()[2] in {"MemoryError", "_ArrayMemoryError", "RuntimeError"}  # the limit is one


def test_validation_without_tumour_is_told_before_training(workspace: Path) -> None:
    table = pd.read_csv(workspace / "data/slices.csv")
    table.loc[table["institution"] == "HT", "tumour_px"] = 0
    write_table(table, workspace / "data/slices.csv")
    ended = command(workspace)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "error: data/split.csv: no validation patient has tumour; change lgg.split.seed\n"
    assert not (workspace / "curves").exists()


def test_misfits_are_refused(workspace: Path) -> None:
    with pytest.raises(BadInput, match=r"16 × 16 px, not multiples of 32; set lgg\.pack\.side"):
        load_slices(workspace / "data", Network(width=8, depth=6, norm="none", dropout=0), "slice", CPU)
    with pytest.raises(BadParameters, match="one pixel at the lowest level"):
        load_slices(workspace / "data", Network(width=8, depth=5, norm="batch", dropout=0), "slice", CPU)
    write_table(pd.DataFrame({"slice": range(20), "weight": np.full(20, 0.05)}), workspace / "data/weights.csv")
    with pytest.raises(BadInput, match=r"weights\.csv: not the training slices"):
        load_slices(workspace / "data", params().network, "slice", CPU)
    split = (workspace / "data/split.csv").read_text()
    (workspace / "data/split.csv").write_text(split.replace("train", "validation"))
    with pytest.raises(BadInput, match=r"split\.csv: no patient trains; change lgg\.split"):
        load_slices(workspace / "data", params().network, "slice", CPU)


def test_a_second_training_in_the_workspace_waits_for_the_first(workspace: Path) -> None:
    first = resume.open_progress(workspace / ".state/lgg-train/other", params().network, about(), keep_all=False)
    with first, subprocess.Popen(LINE, cwd=workspace, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as second:
        assert second.stderr is not None
        assert "waiting for it to end" in second.stderr.readline()
        assert second.poll() is None
        first.__exit__(None, None, None)
        assert second.wait(60) == 0
    assert (workspace / "model/last.pt").exists()


def test_a_loss_without_weights_is_refused() -> None:
    with pytest.raises(ValidationError, match="give one of them a weight"):
        params(loss={"bce": 0.0, "dice": 0.0})


def test_parameters_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        params().epochs = 2  # type: ignore[misc]
