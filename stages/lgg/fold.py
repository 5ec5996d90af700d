"""Train on all folds of the patients but one, and score the patients of that one.

Inputs:  a folder with images.npy (N s s 3 uint8), masks.npy (N s s uint8 in {0, 1}), slices.csv, patients.csv,
         truth.npz
Outputs: the weights after the last epoch; a table with a row for each patient of the fold (areas and distances in px of
         the scan, and in ml and mm where the spacing is known)

The recipe is that of lgg.train, and scores are made as lgg.evaluate says; lgg.fold may make both smaller.
"""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadInput, BadParameters
from stages.lgg.arrays import Array, map_arrays
from stages.lgg.evaluate import EvaluateParams, evaluate, ground_truth
from stages.lgg.inference.logits import set_up
from stages.lgg.inference.memory import within_memory
from stages.lgg.scans.resize import average, majority
from stages.lgg.split import SplitParams, split_patients
from stages.lgg.tables import Subset, read_slices, rows
from stages.lgg.train import TrainParams, deal, describe, train
from stages.lgg.unet import resume
from stages.lgg.unet.batches import make_exact, own_device, steps_per_epoch
from stages.lgg.unet.checkpoint import load_model
from stages.lgg.weigh import weigh
from stages.params import STRICT_KEYS, load
from stages.progress import progress

FILES = ("images.npy", "masks.npy", "slices.csv")


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class FoldParams:
    """The section lgg.fold."""

    seed: int
    """Stands for the order in which patients are dealt to the folds."""
    epochs: Annotated[int, Field(ge=1)] | None
    """Of each training; null for those of lgg.train."""
    side: Annotated[int, Field(ge=16, le=2048)] | None
    """px, the square that slices are resized to; null keeps theirs."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads of each fold."""


def main(data: Path, *, fold: int, of: int, model: Path, patients: Path) -> None:
    """Train on the folder DATA without fold FOLD of OF into MODEL, and score that fold's patients into PATIENTS.

    Broken off at any moment, the next run with the same parameters, data and code goes on from the last epoch.
    Parameters: lgg.fold, lgg.train and lgg.evaluate of params.yaml.
    """
    here, recipe = load(FoldParams, "lgg.fold"), load(TrainParams, "lgg.train")
    scoring = replace(load(EvaluateParams, "lgg.evaluate"), checkpoint="last", threads=here.threads)
    if recipe.start.weights != "none":
        raise BadParameters("lgg.train.start.weights: folds train from first weights alone; set it to none")
    recipe = replace(recipe, epochs=here.epochs or recipe.epochs, threads=here.threads)
    device = own_device()
    make_exact(recipe.threads, recipe.precision)
    table = read_slices(data / "slices.csv")
    split = split_patients(table["patient"], SplitParams(seed=here.seed, validation=1, folds=of, fold=fold))
    with within_memory("lgg.train.batch or lgg.fold.side"), staged(model, patients) as (weights, scored):
        images, masks = _resized(*map_arrays(data, len(table), recipe.network.multiple), here.side)
        _train(data, images, masks, table, split, recipe, device, fold, weights)
        trained = set_up(load_model(weights), scoring.threads, scoring.precision)
        held_out = table.iloc[rows(table, split, "validation")]
        truth, spacing = ground_truth(data)
        found = evaluate(trained, images, truth, held_out, scoring, spacing).scores.patients
        found.insert(0, "fold", fold)
        found.to_csv(scored, index=False, na_rep="nan", float_format="%.17g", lineterminator="\n")
    print(f"fold {fold} of {of}: dice_per_volume_mean {found['dice'].mean():.3f} of {len(found)} patients")


def _resized(images: Array, masks: Array, side: int | None) -> tuple[Array, Array]:
    if side is None or side == images.shape[1]:
        return images, masks
    if images.shape[1] != images.shape[2]:
        raise BadInput(f"images.npy: {images.shape[1]} × {images.shape[2]} px; lgg.fold.side wants squares, or null")
    return np.stack([average(one, side) for one in images]), np.stack([majority(one, side) for one in masks])


def _train(
    data: Path,
    images: Array,
    masks: Array,
    table: pd.DataFrame,
    split: pd.DataFrame,
    recipe: TrainParams,
    device: torch.device,
    fold: int,
    path: Path,
) -> None:
    """Write the weights of the last epoch."""
    chosen: dict[Subset, NDArray[np.int64]] = {
        "train": rows(table, split, "train"),
        "validation": rows(table, split, "validation"),
    }
    weights = weigh(table["tumour_px"].to_numpy(dtype=np.int64)[chosen["train"]])
    sets = deal(images, masks, table["patient"], chosen, weights, recipe.scaling, device)
    about = describe(sets.training, sets.patients, [data / name for name in FILES], recipe)
    steps = steps_per_epoch(len(weights), recipe.batch)
    # A folder for each fold: folds train side by side, and two trainings in one folder wait for each other.
    place = Path(f".state/lgg-fold-{fold}") / resume.key(recipe, [about.data, about.code, *about.trained_on], device)
    with (
        resume.open_progress(place, recipe.network, about, keep_all=False) as kept,
        progress(f"fold {fold}", recipe.epochs * steps, "step", done=len(kept.history) * steps) as bar,
    ):
        for epoch in train(sets.training, weights, sets.validation, recipe, kept.state, on_step=bar.add):
            kept.save(epoch.metrics, epoch.state)
        kept.save_last(path)
        kept.discard()


if __name__ == "__main__":
    run(main)
