"""Train on a few patients of one institution: networks that were trained before, beside two from scratch.

Inputs:  a folder with images.npy (N H W 3 uint8), masks.npy (N H W uint8 in {0, 1}), slices.csv
Outputs: transfer.csv, a row for each seed, arm and patient (dice_per_volume, NaN where both masks are empty);
         transfer.json, means and paired differences with 95 % intervals; transfer.png

Arms: `scratch` starts from first weights, and so does `scratch-longer`, which takes as many steps on the target as
the others take in all. These were trained before: `phantoms` on synthetic patients, `reconstruction` without masks on
the slices of other institutions, `institutions` on these with their masks. `institutions-frozen` does not train its
way down on the target, `institutions-untuned` takes no step there. All arms of a seed have the same first weights and
see the same batches. Nobody who is scored is trained on in any arm.

Shapes: N slices, H = W pixels.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from pydantic.dataclasses import dataclass

from stages.atomic import staged
from stages.command import run
from stages.errors import BadParameters
from stages.lgg.arrays import Array, map_arrays
from stages.lgg.pretrained.arms import LONGER, SCRATCH, Trainer, Training, arms, steps_in_all
from stages.lgg.pretrained.cohort import Cohort
from stages.lgg.pretrained.comparison import SCORE, draw, summary
from stages.lgg.pretrained.tuning import Task, dice_per_volume, reconstruction, segmentation
from stages.lgg.split import SplitParams, split_patients
from stages.lgg.tables import read_slices
from stages.lgg.unet.batches import Slices, make_exact, own_device
from stages.lgg.weigh import weigh
from stages.params import STRICT_KEYS, load
from stages.progress import progress
from stages.seeds import Seeds

BEFORE = ("phantoms", "reconstruction", "institutions")
PAIRS = (
    *((arm, control) for arm in reversed(BEFORE) for control in (LONGER, SCRATCH)),
    ("institutions", "institutions-untuned"),
    ("institutions-frozen", "institutions"),
)


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class TransferParams:
    """Parameters of lgg.transfer."""

    seeds: Seeds
    """A run of every arm each: it settles first weights, batches and which patients of the target are trained on."""
    target: Annotated[str, Field(min_length=1)]
    """The institution to learn; patients of all others are trained on before."""
    scored: Annotated[int, Field(ge=2)]
    """Patients of the target who are scored, the same for every seed."""
    scored_seed: int
    """Stands for the order in which these are drawn, as in lgg.split."""
    labelled: Annotated[int, Field(ge=1)]
    """Other patients of the target, whom a seed draws to train on."""
    phantoms: Annotated[int, Field(ge=1)]
    """Synthetic patients of the arm of this name."""
    hidden: Annotated[float, Field(gt=0, lt=1)]
    """Part of a slice that reconstruction hides, in blocks of 8 px."""
    side: Annotated[int, Field(ge=8)] | None
    """Slices are resized to a square of so many pixels; null keeps theirs."""
    training: Training
    threshold: Annotated[float, Field(gt=0, lt=1)]
    """Probability from which a pixel counts as tumour, fixed beforehand."""
    threads: Annotated[int, Field(ge=1)]
    """CPU threads; the bits of the results depend on it."""


class Patients(NamedTuple):
    """Names; no patient stands in two of these."""

    others: list[str]  # of other institutions
    pool: list[str]  # of the target, from whom each seed draws
    scored: list[str]  # of the target


class Row(NamedTuple):
    """What a patient came to."""

    seed: int
    arm: str
    patient: str
    dice_per_volume: float


def divide(slices: pd.DataFrame, params: TransferParams) -> Patients:
    """Part the patients of `slices` (the table of lgg-pack) by institution; some of the target are to be scored.

    Raises:
        BadParameters: an institution that is not there, nobody of another one, or too few patients of the target.
    """
    of_target = slices["institution"] == params.target
    mine, others = (sorted(set(slices["patient"][chosen])) for chosen in (of_target, ~of_target))
    if not mine or not others:
        there = ", ".join(sorted(set(slices["institution"])))
        raise BadParameters(f"lgg.transfer.target is {params.target}, and there must be others; there are {there}")
    if params.scored + params.labelled > len(mine):
        wanted = f"{params.scored} to score and {params.labelled} to train on"
        raise BadParameters(f"lgg.transfer: {params.target} has {len(mine)} patients, too few for {wanted}")
    split = SplitParams(seed=params.scored_seed, validation=params.scored, folds=None, fold=None)
    subsets = split_patients(mine, split).groupby("subset")["patient"]
    return Patients(others, *(sorted(subsets.get_group(name)) for name in ("train", "validation")))


def compare(
    cohort: Cohort, patients: Patients, params: TransferParams, on_step: Callable[[], None] = lambda: None
) -> Iterator[Row]:
    """Train and score all arms, seed by seed.

    Raises:
        BadParameters: a loss is no number, or the patients that a seed draws have no tumour.
    """
    others, scored = cohort.slices_of(patients.others), cohort.slices_of(patients.scored)
    synthetic = _segmentation(cohort.of_phantoms(params.phantoms), params)
    tasks = synthetic, reconstruction(others, params.hidden), _segmentation(others, params)
    for seed in params.seeds:
        few = np.random.default_rng(seed).choice(patients.pool, params.labelled, replace=False)
        target = cohort.slices_of([str(patient) for patient in few])
        if not target.masks.any():
            raise BadParameters(f"lgg.transfer.seeds: the patients that {seed} draws have no tumour; give another")
        trainer = Trainer(params.training, seed, cohort.device, on_step)
        for arm, unet in arms(dict(zip(BEFORE, tasks, strict=True)), _segmentation(target, params), trainer):
            dice = dice_per_volume(unet, scored, params.threshold, params.training.recipe.batch)
            for patient, value in zip(patients.scored, dice.tolist(), strict=True):
                yield Row(seed, arm, patient, value)


def _segmentation(slices: Slices, params: TransferParams) -> Task:
    """Slices with tumour are drawn more often, as lgg-weigh has it."""
    tumour_px = slices.masks.sum((1, 2), dtype=torch.int64).cpu().numpy()
    return segmentation(slices, weigh(tumour_px), params.training.recipe.loss)


def _side(images: Array, params: TransferParams) -> int:
    """The side of the squares that networks see, in px."""
    network, (height, width) = params.training.network, images.shape[1:3]
    side = params.side or height
    if height != width or side > height or side % network.multiple:
        wanted = f"a multiple of {network.multiple} up to the side of the slices, which are {height} × {width} px"
        raise BadParameters(f"lgg.transfer.side is {params.side}: give {wanted}")
    if network.has_batch_norm and side == network.multiple:
        raise BadParameters("lgg.transfer: batch normalisation has one pixel at the lowest level; lower the depth")
    return side


def main(data: Path, *, table: Path, metrics: Path, figure: Path) -> None:
    """Compare networks trained before with others from scratch on DATA, into the files TABLE, METRICS and FIGURE.

    Parameters: lgg.transfer of params.yaml.
    """
    params = load(TransferParams, "lgg.transfer")
    slices = read_slices(data / "slices.csv")
    images, masks = map_arrays(data, len(slices), 1)
    patients, side = divide(slices, params), _side(images, params)
    make_exact(params.threads)
    device = own_device()
    cohort = Cohort(slices, images, masks, side, device)
    with progress("transfer", len(params.seeds) * steps_in_all(params.training, len(BEFORE)), "step") as bar:
        results = pd.DataFrame(compare(cohort, patients, params, bar.add))
    found = summary(results, PAIRS)
    setting = {
        "target": params.target,
        "patients_of_others": len(patients.others),
        "patients_trained_on": params.labelled,
        "patients_scored": len(patients.scored),
        "seeds": len(params.seeds),
        "slice_size_px": side,
    }
    with staged(table, metrics, figure) as (table_partial, metrics_partial, figure_partial):
        results.to_csv(table_partial, index=False, na_rep="nan", float_format="%.17g", lineterminator="\n")
        metrics_partial.write_text(json.dumps({**found, **setting}, indent=2) + "\n", encoding="utf-8")
        draw(results, PAIRS, figure_partial)
    _tell(found)


def _tell(found: dict[str, Any]) -> None:
    """Print each mean and difference with its intervals."""
    for part in (f"{SCORE}_mean", f"{SCORE}_mean_difference"):
        print(f"{part}, its 95 % intervals over patients and over seeds")
        for name, values in found[part].items():
            mean, *ends = (f"{value:6.3f}" for value in values.values())
            print(f"  {name:39} {mean}  {ends[0]} to {ends[1]}  {ends[2]} to {ends[3]}")


if __name__ == "__main__":
    run(main)
