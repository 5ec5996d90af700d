"""Score a trained U-Net on the validation patients.

Inputs:  a folder with images.npy (N s s 3 uint8), masks.npy (N s s uint8 in {0, 1}), slices.csv, split.csv,
         patients.csv, truth.npz; a folder of weights (last.pt, best.pt and perhaps epoch-001.pt …)
Outputs: metrics (JSON; null where undefined), a table with a row per patient (areas and distances in px of the scan,
         and in ml and mm where the spacing is known), a folder of figures (PNG)

Shapes: N slices, S of them a patient's stack, B of them a batch of inference, s px packed, H × W px of the scan.
The headline is `dice_per_volume_mean` at a threshold fixed beforehand, on the grid of the scan: logits are brought back
to it, for masks that are resized flatter.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput
from stages.lgg.arrays import Array, map_arrays
from stages.lgg.inference.logits import logits_of, set_up
from stages.lgg.inference.memory import within_memory
from stages.lgg.inference.threads import side_by_side
from stages.lgg.scans.geometry import pad, to_scan
from stages.lgg.scans.resize import majority
from stages.lgg.scores.metrics import as_json
from stages.lgg.scores.scoring import Scores, Spacing, Stack, gather, score_stack
from stages.lgg.tables import read_patients, read_slices, read_split, rows, spacings
from stages.lgg.truth import open_truth
from stages.lgg.unet.batches import Precision, computed_in, own_device
from stages.lgg.unet.checkpoint import Model, load_model, weights_of
from stages.params import STRICT_KEYS, load
from stages.progress import progress

NAMED = 5  # patients in an error
NO_MASKS = np.zeros((0, 0, 0), dtype=np.bool_)  # in place of those of a patient who is done, for they are large
Truth = Mapping[str, NDArray[np.bool_]]


def _known(checkpoint: object) -> object:
    if checkpoint in ("last", "best") or (type(checkpoint) is int and checkpoint >= 1):
        return checkpoint
    raise ValueError("should be last, best or the number of an epoch")


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class EvaluateParams:
    """Parameters of lgg.evaluate."""

    checkpoint: Annotated[str | int, BeforeValidator(_known)]
    """last, best (of lowest validation loss, so chosen on the patients that are scored) or an epoch's number."""
    threshold: Annotated[float, Field(gt=0, lt=1)]
    """Probability from which a pixel counts as tumour, fixed beforehand."""
    batch: Annotated[int, Field(ge=1)]
    """Slices that go through the network at once."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads, each with a patient of its own; the results do not depend on it."""
    precision: Precision = "float32"
    flip: bool = False
    """Whether logits are the mean of those of a slice and of its mirror image."""
    largest_component: bool = False
    """Whether the prediction is the largest piece of the volume alone; fixed beforehand, like the threshold."""


class Evaluation(NamedTuple):
    """What a network scored, and what it predicted."""

    scores: Scores
    masks: dict[int, NDArray[np.uint8]]
    """By the row of a slice: the prediction that counts as it would be packed, s·s bits in s·s/8 bytes."""


def evaluate(
    model: Model,
    images: Array,
    truth: Truth,
    slices: pd.DataFrame,
    params: EvaluateParams,
    spacing: Mapping[str, Spacing] | None = None,
) -> Evaluation:
    """Score `model` on the patients of `slices`, each in a thread, so that memory holds a stack for each thread.

    `images` are N s s 3, and `truth` has the masks of a patient on the grid of his scan, S H W. `spacing` is that of
    the patients of whom it is known.

    Raises:
        BadInput: the network gives something else than numbers.
    """

    def scored(patient: str, stack: pd.DataFrame) -> tuple[Stack, dict[int, NDArray[np.uint8]]]:
        logits = _logits(model, images[stack["slice"]], params)
        if not logits.isfinite().all():
            raise BadInput(f"checkpoint {params.checkpoint}: no finite numbers for {patient}; train it again")
        mask = truth.get(patient, NO_MASKS)
        if len(mask) != len(stack):
            raise BadInput(f"truth.npz: {len(mask)} masks of {patient}, not {len(stack)}; run dvc repro lgg-pack")
        scan = to_scan(logits, *mask.shape[1:])
        found = score_stack(stack, scan, mask, params.threshold, (spacing or {}).get(patient))
        packed = _packed(found.masks[params.largest_component], images.shape[1])
        return found._replace(masks=(NO_MASKS, NO_MASKS)), dict(zip(stack["slice"], packed, strict=True))

    stacks, kept = list[Stack](), dict[int, NDArray[np.uint8]]()
    groups = slices.groupby("patient", sort=False)
    with progress("score", len(groups), "patient") as bar:
        for found, masks in side_by_side(lambda group: scored(str(group[0]), group[1]), groups, params.threads):
            stacks.append(found)
            kept |= masks
            bar.add()
    scores = gather(stacks, largest_component=params.largest_component)
    setting = {
        "checkpoint": params.checkpoint,
        "checkpoint_chosen_on_validation": params.checkpoint != "last",
        "flip": params.flip,
        "largest_component": params.largest_component,
        "precision": computed_in(params.precision, own_device()),
        "scaling": model.about.scaling,
        "slice_size_px": images.shape[1],
        "threshold": params.threshold,
    }
    return Evaluation(scores._replace(metrics={**scores.metrics, **setting}), kept)


def _packed(masks: NDArray[np.bool_], side: int) -> NDArray[np.uint8]:
    """Masks (S H W) as they would be packed, in squares of `side` px: S side·side/8, a bit a pixel."""
    whole = max(masks.shape[1:])
    packed = np.stack([majority(pad(mask.view(np.uint8), whole), side) for mask in masks])
    return np.packbits(packed.reshape(len(masks), -1), axis=1)


def _logits(model: Model, stack: Array, params: EvaluateParams, volume: Array | None = None) -> Tensor:
    return logits_of(model, stack, params.batch, params.precision, flip=params.flip, volume=volume)


def ground_truth(data: Path) -> tuple[Truth, dict[str, Spacing]]:
    """Of the folder of packed data: the masks of patients on the grids of their scans, and the spacings that are known.

    Raises:
        BadInput: a file is missing or damaged.
    """
    patients = read_patients(data / "patients.csv")
    return open_truth(data / "truth.npz", patients), spacings(patients)


def check(model: Model, path: Path, validation: pd.DataFrame, side: int) -> None:
    """Refuse to score weights that cannot be scored fairly.

    Raises:
        BadInput: they were trained on a patient of `validation`, or on slices of another side than `side` px.
    """
    if known := sorted(set(model.about.trained_on) & set(validation["patient"])):
        listed = f"{', '.join(known[:NAMED])}{f' and {len(known) - NAMED} more' if len(known) > NAMED else ''}"
        raise BadInput(f"{path}: trained on {listed}, whom split.csv has for validation; run dvc repro lgg-train")
    if model.about.side != side:
        raise BadInput(
            f"{path}: trained on slices of {model.about.side} px, these have {side} px; change lgg.pack.side"
        )


def _validation(slices: pd.DataFrame, split: Path) -> pd.DataFrame:
    chosen = slices.iloc[rows(slices, read_split(split), "validation")]
    if not len(chosen):
        raise BadInput(f"{split}: all patients train, and none is left to score; change lgg.split.validation")
    if not chosen["tumour_px"].any():
        raise BadInput(f"{split}: no validation patient has tumour; change lgg.split.seed")
    return chosen


def _plain(value: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return None if isinstance(value, float) and math.isnan(value) else value


def main(data: Path, model: Path, *, metrics: Path, patients: Path, figures: Path) -> None:
    """Score a U-Net of the folder MODEL on the validation patients of the folder DATA.

    Writes METRICS (JSON), PATIENTS (CSV, a row each) and the folder FIGURES (PNG), and prints the headline.
    Parameters: lgg.evaluate of params.yaml.
    """
    from matplotlib import style

    from stages.lgg.scores.figures import Shown, draw

    params = load(EvaluateParams, "lgg.evaluate")
    path = weights_of(model, params.checkpoint)
    trained = load_model(path)
    slices = read_slices(data / "slices.csv")
    images, masks = map_arrays(data, len(slices), trained.unet.network.multiple)
    validation = _validation(slices, data / "split.csv")
    check(trained, path, validation, images.shape[1])
    trained = set_up(trained, params.threads, params.precision)
    truth, spacing = ground_truth(data)
    with within_memory("lgg.evaluate.batch"):
        scores, predictions = evaluate(trained, images, truth, validation, params, spacing)

    rows_of = {patient: stack["slice"].to_numpy() for patient, stack in validation.groupby("patient")}

    def show(chosen: NDArray[np.int64]) -> Shown:
        logits = [
            _logits(trained, images[[number]], params, images[rows_of[patient]])
            for number, patient in zip(chosen, slices["patient"][chosen], strict=True)
        ]
        bits = np.stack([predictions[number] for number in chosen])
        predicted = np.unpackbits(bits, axis=1, count=masks[0].size).reshape(-1, *masks.shape[1:])
        return Shown(images[chosen], masks[chosen], predicted == 1, torch.cat(logits))

    with staged(metrics, patients, figures) as (metrics_file, patients_file, folder), style.context("default"):
        metrics_file.write_text(as_json(_plain(scores.metrics)))
        scores.patients.to_csv(patients_file, index=False, na_rep="nan", float_format="%.17g", lineterminator="\n")
        folder.mkdir()
        for name, picture in draw(show, scores.slices, scores.patients, scores.bins, params.threshold).items():
            picture.savefig(folder / f"{name}.png", metadata={"Software": None})
    print(_headline(scores.metrics))


def _headline(metrics: dict[str, Any]) -> str:
    low, high = metrics["dice_per_volume_mean_ci95_low"], metrics["dice_per_volume_mean_ci95_high"]
    chosen = ", chosen on these very patients" if metrics["checkpoint_chosen_on_validation"] else ""
    return (
        f"dice_per_volume_mean {metrics['dice_per_volume_mean']:.3f} (95 % interval {low:.3f} to {high:.3f}, "
        f"{metrics['dice_per_volume_patients']} patients, threshold {metrics['threshold']}, "
        f"checkpoint {metrics['checkpoint']}{chosen})"
    )


if __name__ == "__main__":
    run(main)
