"""Train the U-Net.

Inputs:  a folder with images.npy (N H W 3 uint8), masks.npy (N H W uint8 in {0, 1}), slices.csv, split.csv, weights.csv
         and, if asked for, a file of weights to start from
Outputs: a folder of weights (last.pt, best.pt by validation loss if there is any, and epoch-001.pt … when all are
         kept); the curves

Shapes: N slices, B items of a batch, V volumes (one a patient), H = W pixels. Slices stay on the device as
uint8, unless they would fill it; drawing by weight, scaling, augmentation and losses happen there, and no step waits
for the host.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.func import functional_call

from stages.atomic import growing, staged
from stages.board import board
from stages.command import run
from stages.errors import BadInput, BadParameters
from stages.lgg.arrays import Array, map_arrays
from stages.lgg.inference.memory import within_memory
from stages.lgg.pretrained import weights as pretrained
from stages.lgg.pretrained.layers import groups
from stages.lgg.pretrained.weights import Pretrained, Start
from stages.lgg.scans.intensity import Scaling, brightness_of_each
from stages.lgg.tables import Subset, read_slices, read_split, read_weights, rows
from stages.lgg.unet import optimizer, resume
from stages.lgg.unet.augment import Augmentation, augment, jitter
from stages.lgg.unet.batches import (
    Precision,
    Slices,
    as_brightness,
    centred,
    computed_in,
    draw,
    fits,
    make_exact,
    mapped,
    scaled,
    seeded,
    steps_per_epoch,
    taken,
)
from stages.lgg.unet.checkpoint import About
from stages.lgg.unet.losses import Loss, segmentation_loss
from stages.lgg.unet.network import Network, UNet
from stages.lgg.unet.together import ALONE, Together, joined
from stages.params import STRICT_KEYS, load
from stages.progress import progress

FILES = ("images.npy", "masks.npy", "slices.csv", "split.csv", "weights.csv")
THRESHOLD = 0.5  # probability from which a pixel counts as tumour in the curve of the validation Dice


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class TrainParams:
    """Parameters of lgg.train."""

    seed: Annotated[int, Field(ge=0)]
    epochs: Annotated[int, Field(ge=1)]
    """Each as many draws as there are training slices."""
    batch: Annotated[int, Field(ge=1)]
    """Slices a step."""
    scaling: Scaling = "slice"
    """Of intensities: by slice, or by volume."""
    network: Network
    start: Start
    loss: Loss
    optimizer: optimizer.Optimizer
    mean: Annotated[float, Field(gt=0, lt=1)] | None = None
    """The weights that come out are a running mean, of which each step keeps this part; null for those of the last."""
    augment: Augmentation
    precision: Precision
    threads: Annotated[int, Field(ge=1)]
    """CPU threads; the bits of the weights depend on it."""
    keep: Literal["last-and-best", "all"]
    """Which epochs' weights come out."""
    licence: Annotated[str, Field(min_length=1)] = "unknown"
    """Of the data that is trained on, which the weights carry with them."""


class Epoch(NamedTuple):
    """What one epoch leaves."""

    metrics: resume.Metrics
    state: dict[str, Any]  # weights under "unet", their mean under "mean", and all else from which `train` goes on


def train(
    training: Slices,
    weights: NDArray[np.float64],
    validation: Slices,
    params: TrainParams,
    state: dict[str, Any] | None = None,
    start: Pretrained | None = None,
    on_step: Callable[[], None] = lambda: None,
    together: Together = ALONE,
) -> Iterator[Epoch]:
    """Yield an `Epoch` as each ends; given the `state` of an earlier one, only those that follow it.

    Every draw of an epoch comes from the seed and the epoch's number alone, so the epochs are the same bits
    whether or not training was broken off between them. `weights` are the probabilities of the training slices.
    `validation` may have no slice; then nothing is validated.
    What is in `start` takes the place of first weights, and moves as `params.start` says.
    `on_step` is called at each step of an epoch, which a GPU may not have ended by then. Processes that train
    `together` yield the same epochs, each at its own time.

    Raises:
        BadParameters: the loss is no longer a number, or nothing is left to train.
    """
    device = training.volumes.device
    with seeded(params.seed, 0, device):
        unet = UNet(params.network)
    old = start.weights if start else {}
    unet.load_state_dict(unet.state_dict() | old)
    trained = groups(unet, old, params.start.rate)
    together.share_moments(unet)
    unet = unet.to(device).to(memory_format=torch.channels_last)
    steps = steps_per_epoch(len(weights), params.batch)
    optim, schedule = optimizer.build(trained, params.optimizer, params.epochs * steps)
    cumulative = torch.from_numpy(np.cumsum(weights)).to(device)  # N float64
    mean = optimizer.Mean(unet, params.mean, steps * state["epoch"] if state else 0) if params.mean else None
    if state:
        unet.load_state_dict(state["unet"])
        if mean:
            mean.load(state["mean"])
        optim.load_state_dict(state["optimizer"])
        schedule.load_state_dict(state["schedule"])
    for number in range(state["epoch"] + 1 if state else 1, params.epochs + 1):
        unet.train()
        sums = torch.zeros(3, device=device)
        with seeded(params.seed, number, device) as generator:
            drawn = draw(cumulative, generator).split(params.batch)
            parts = [whole[together.part(len(whole))] for whole in drawn]
            for whole, chosen, found in zip(drawn, parts, taken(training, parts), strict=True):
                own = len(whole), together.part(len(whole))
                images, masks = augment(*scaled(training, chosen, found), params.augment, generator, own)
                shown = jitter(centred(training, chosen, images), params.augment, generator, own)
                logits = _forward(unet, shown, params)
                loss, *parts = segmentation_loss(
                    logits, masks, bce=params.loss.bce, dice=params.loss.dice, together=together
                )
                optim.zero_grad()
                loss.backward()
                together.share_gradients(unet.parameters())
                optim.step()
                schedule.step()
                if mean:
                    mean.follow()
                sums += torch.stack([loss, *parts]).detach()
                on_step()
        metrics = _named("train", sums / len(drawn))
        if len(validation.volumes):
            metrics |= _validate(unet, validation, params, mean, together)
        if not all(math.isfinite(value) for name, value in metrics.items() if name.endswith("/loss")):
            raise BadParameters(f"the loss is no number in epoch {number}: lower lgg.train.optimizer.learning_rate")
        states = {"unet": unet.state_dict(), "optimizer": optim.state_dict(), "schedule": schedule.state_dict()}
        yield Epoch(metrics, states | {"epoch": number} | ({"mean": mean.state} if mean else {}))


def _forward(unet: UNet, images: Tensor, params: TrainParams, mean: optimizer.Mean | None = None) -> Tensor:
    """Logits B 1 H W float32, of the network or of the `mean` of its weights."""
    short = computed_in(params.precision, images.device) == "bfloat16"
    with torch.autocast(images.device.type, torch.bfloat16, enabled=short):
        shown = images.contiguous(memory_format=torch.channels_last)
        logits: Tensor = functional_call(unet, mean.state, shown) if mean else unet(shown)
    return logits.float()


@torch.no_grad()
def _validate(
    unet: UNet,
    validation: Slices,
    params: TrainParams,
    mean: optimizer.Mean | None = None,
    together: Together = ALONE,
) -> resume.Metrics:
    """Losses over consecutive batches in the order of the slices, and the mean Dice of whole volumes."""
    unet.eval()
    device = validation.volumes.device
    sums = torch.zeros(3, device=device)
    volumes = int(validation.volumes.max()) + 1
    overlap, sizes = torch.zeros(2, volumes, device=device, dtype=torch.float64)  # V pixels
    batches = torch.arange(len(validation.volumes), device=device).split(params.batch)
    own = batches[together.rank :: together.size]
    for chosen, found in zip(own, taken(validation, own), strict=True):
        images, masks = scaled(validation, chosen, found)
        logits = _forward(unet, centred(validation, chosen, images), params, mean)
        sums += torch.stack(segmentation_loss(logits, masks, bce=params.loss.bce, dice=params.loss.dice))
        predicted = (logits.sigmoid() >= THRESHOLD).float()
        for total, pixels in ((overlap, 2 * predicted * masks), (sizes, predicted + masks)):
            total.index_add_(0, validation.volumes[chosen], pixels.sum((1, 2, 3), dtype=torch.float64))
    sums, overlap, sizes = (together.total(values) for values in (sums, overlap, sizes))
    dice = (overlap / sizes).nanmean()  # a volume empty in both is 0/0 and does not count
    return _named("validation", sums / len(batches)) | {"validation/dice_per_volume_mean": dice.item()}


def _named(subset: str, means: Tensor) -> resume.Metrics:
    """Means over batches by name."""
    return dict(
        zip((f"{subset}/{name}" for name in ("loss", "bce", "batch_soft_dice_loss")), means.tolist(), strict=True)
    )


class Sets(NamedTuple):
    """What is trained and validated on."""

    training: Slices
    weights: NDArray[np.float64]  # of the training slices, probabilities
    validation: Slices
    patients: dict[Subset, tuple[str, ...]]  # ascending


def load_slices(data: Path, network: Network, scaling: Scaling, device: torch.device) -> Sets:
    """Training slices, their weights, validation slices, of which there may be none.

    Raises:
        BadInput, BadParameters: an array or table is not what it must be, or does not fit the network.
    """
    table, weights = read_slices(data / "slices.csv"), read_weights(data / "weights.csv")
    split = read_split(data / "split.csv")
    chosen: dict[Subset, NDArray[np.int64]] = {
        "train": rows(table, split, "train"),
        "validation": rows(table, split, "validation"),
    }
    if not len(chosen["train"]):
        raise BadInput(f"{data / 'split.csv'}: no patient trains; change lgg.split")
    if not np.array_equal(weights["slice"], chosen["train"]):
        raise BadInput(f"{data / 'weights.csv'}: not the training slices of split.csv; run dvc repro lgg-weigh")
    images, masks = map_arrays(data, len(table), network.multiple)
    if len(chosen["validation"]) and not table["tumour_px"].to_numpy()[chosen["validation"]].any():
        raise BadInput(f"{data / 'split.csv'}: no validation patient has tumour; change lgg.split.seed")
    if network.has_batch_norm and network.multiple in images.shape[1:3]:
        raise BadParameters("lgg.train.network: batch normalisation has one pixel at the lowest level; lower the depth")
    return deal(images, masks, table["patient"], chosen, weights["weight"].to_numpy(), scaling, device)


def deal(
    images: Array,
    masks: Array,
    patients: pd.Series,
    chosen: Mapping[Subset, NDArray[np.int64]],
    weights: NDArray[np.float64],
    scaling: Scaling,
    device: torch.device,
) -> Sets:
    """Both sets: the `chosen` rows of images N H W 3, masks N H W and the names of the N patients.

    Slices move to the device, unless those of both sets together would fill it.
    """
    size = sum(len(some) for some in chosen.values()) * (images[:1].nbytes + masks[:1].nbytes)
    resident = fits(size, device)
    found, names = {}, {}
    for subset, some in chosen.items():
        known, volumes = np.unique(patients.iloc[some].to_numpy(dtype=str), return_inverse=True)
        by_volume = scaling == "volume" and len(some)
        brightness = as_brightness(brightness_of_each(images, some, volumes), device) if by_volume else None
        numbers = torch.from_numpy(volumes).to(device)
        if resident:
            pixels, truth = (torch.from_numpy(array[some]).to(device) for array in (images, masks))
            found[subset] = Slices(pixels, truth, numbers, brightness)
        else:
            found[subset] = Slices(mapped(images), mapped(masks), numbers, brightness, torch.from_numpy(some))
        names[subset] = tuple(map(str, known))
    return Sets(found["train"], weights, found["validation"], names)


def describe(
    training: Slices, patients: Mapping[Subset, tuple[str, ...]], inputs: Iterable[Path], params: TrainParams
) -> About:
    """What weights will say that are trained on these slices, of these patients, from these files."""
    return About(
        trained_on=patients["train"],
        validated_on=patients["validation"],
        side=training.images.shape[1],
        scaling=params.scaling,
        data=resume.digest(inputs),
        code=resume.digest(resume.code()),
        torch=torch.__version__,
        licence=params.licence,
    )


def main(data: Path, *, model: Path, curves: Path) -> None:
    """Train the U-Net on DATA, a folder of arrays and tables, into the folder MODEL; log curves to CURVES.

    Broken off at any moment, the next run with the same parameters, data and code goes on from the last epoch.
    Several GPUs: torchrun --standalone --nproc-per-node N -m stages.lgg.train …, the rest as it stands in dvc.yaml.
    Parameters: lgg.train of params.yaml. TensorBoard: runs/lgg-train.
    """
    with joined() as (together, device):
        _main(data, model, curves, together, device)


def _main(data: Path, model: Path, curves: Path, together: Together, device: torch.device) -> None:
    params = load(TrainParams, "lgg.train")
    make_exact(params.threads, params.precision)
    with within_memory("lgg.pack.side"):
        training, weights, validation, patients = load_slices(data, params.network, params.scaling, device)
    start, inputs = None, [data / name for name in FILES]
    if params.start.weights != pretrained.NONE:
        path = Path(params.start.weights)
        start = pretrained.read(path, params.network, params.start.layers)
        inputs.append(path)
        patients["train"] = tuple(sorted({*patients["train"], *start.trained_on}))
        if together.first:
            print(f"{path}: {start.report()}", flush=True)
    about = describe(training, patients, inputs, params)
    processes = [str(together.size)] if together.size > 1 else []  # their number changes the last bits
    place = Path(".state/lgg-train") / resume.key(params, [about.data, about.code, *processes], device)
    epochs = partial(train, training, weights, validation, params, start=start, together=together)
    with within_memory("lgg.train.batch or lgg.pack.side"):
        if together.first:
            steps = steps_per_epoch(len(weights), params.batch)
            with resume.open_progress(place, params.network, about, keep_all=params.keep == "all") as kept:
                together.wait()
                _write(epochs, kept, params.epochs, steps, model, curves)
        else:
            together.wait()  # until the first has looked after what a killed training left
            kept = resume.Progress(place, params.network, about, keep_all=False)
            for _ in epochs(kept.state):
                pass


def _write(
    epochs: Callable[..., Iterator[Epoch]], kept: resume.Progress, count: int, steps: int, model: Path, curves: Path
) -> None:
    """Train the `count` epochs of so many `steps`, and write weights and curves."""
    from dvclive import Live
    from tensorboardX import SummaryWriter

    with (
        # Curves grow while training goes on, for `dvc plots show`; so they are not staged as the weights are.
        growing(curves / "metrics.json", curves / "plots" / "metrics"),
        Live(str(curves), dvcyaml=None, save_dvc_exp=False, report=None) as live,
        SummaryWriter(str(board("lgg-train", "lgg")), purge_step=0) as writer,
        progress("train", count * steps, "step", done=len(kept.history) * steps) as bar,
    ):

        def log(metrics: resume.Metrics) -> None:
            for name, value in metrics.items():
                live.log_metric(name, value)
                writer.add_scalar(name, value, live.step + 1)
            live.next_step()

        for metrics in kept.history:
            log(metrics)
        for epoch in epochs(kept.state, on_step=bar.add):
            kept.save(epoch.metrics, epoch.state)
            log(epoch.metrics)
            shown = {name: value for name, value in epoch.metrics.items() if name.endswith(("/loss", "mean"))}
            bar.add(
                0, f"epoch {len(kept.history)}: {', '.join(f'{name} {value:.3f}' for name, value in shown.items())}"
            )
        with staged(model) as (folder,):
            kept.export(folder)
        kept.discard()


if __name__ == "__main__":
    run(main)
