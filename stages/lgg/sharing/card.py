"""What a trained network is for, and what is known of it: a page in Markdown, from the results of its evaluation."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from stages.lgg.scores.metrics import BOOTSTRAP_SEED, bootstrap_interval
from stages.lgg.unet.checkpoint import Model

POOREST = 5
MEASURED = {
    "calibration_within_10_px_of_tumour", "checkpoint", "checkpoint_chosen_on_validation", "flip", "hd95_px_mean",
    "largest_component", "nsd_2px_mean", "relative_volume_error_absolute_mean", "scaling", "slice_sensitivity",
    "slice_size_px", "slice_specificity", "threshold",
}  # fmt: skip
"""The metrics that a page is made of."""
COLUMNS = ("patient", "institution", "dice", "tumour_px", "predicted_px", "missed_slices", "false_slices")
"""Of the table of patients that it is made of."""
USE = """## What it is for

Research on how models like this one are made and judged. It marks what may be a lower-grade glioma in an MRI scan of a
head: T1 before contrast, FLAIR and T1 after contrast, as slices.

**It is not a medical device.** Nothing that it says is for diagnosis or treatment. It was not tried on healthy people,
on other diseases, on children, or on scans after an operation.
"""


def card(model: Model, metrics: Mapping[str, Any], patients: pd.DataFrame) -> str:
    """The page; `metrics` is what lgg-evaluate measured, and `patients` its table."""
    return "\n".join(
        ["# A U-Net for lower-grade glioma", "", USE, _made(model), _judged(metrics, patients), _used(model, metrics)]
    )


def _made(model: Model) -> str:
    about, network = model.about, model.unet.network
    parameters = sum(one.numel() for one in model.unet.parameters())
    facts = {
        "Patients": f"{len(about.trained_on)} trained, {len(about.validated_on)} validated; the weights name them",
        "Slices": f"{about.side} × {about.side} px, with the channels {', '.join(about.channels)}",
        "Intensities": {
            "slice": "each slice from its least to its greatest value",
            "volume": "each channel less its mean within the head of the volume, over its deviation there",
        }[about.scaling],
        "Network": f"encoder {network.encoder}, width {network.width}, depth {network.depth}, norm {network.norm}; "
        f"{parameters:,} parameters, after epoch {model.epoch}",
        "Licence of the data": about.licence,
        "Data, SHA-256": f"`{about.data}`",
        "Code, SHA-256": f"`{about.code}`",
        "torch": about.torch,
    }
    return "\n".join(["## How it was made", "", *_table(("", ""), facts.items())])


def _judged(metrics: Mapping[str, Any], patients: pd.DataFrame) -> str:
    chosen = " The checkpoint was chosen on these very patients." if metrics["checkpoint_chosen_on_validation"] else ""
    scored = patients.dropna(subset="dice")
    groups = [("all", scored), *scored.groupby("institution")]
    poorest = scored.sort_values("dice", kind="stable").head(POOREST)
    lost = [
        (one.patient, f"{one.dice:.3f}", one.tumour_px, one.predicted_px, one.missed_slices, one.false_slices)
        for one in poorest.itertuples()
    ]
    names = ("patient", "Dice", "tumour, px", "predicted, px", "slices missed", "slices false")
    calibration = metrics["calibration_within_10_px_of_tumour"]
    facts = {
        "slices with tumour that are found": _number(metrics["slice_sensitivity"]),
        "slices without tumour that are left alone": _number(metrics["slice_specificity"]),
        "tumour volume, mean of the error's size": _number(metrics["relative_volume_error_absolute_mean"]),
        "edge within 2 px, part of it (NSD)": _number(metrics["nsd_2px_mean"]),
        "95 % of the edge within, px (HD95)": _number(metrics["hd95_px_mean"]),
        "expected calibration error near the tumour": _number(calibration["expected_calibration_error_15_bins"]),
    }
    return "\n".join(
        [
            "",
            "## How it does on patients that it was not trained on",
            "",
            f"Dice of a patient's volume, on the grid of the scan, from a probability of {metrics['threshold']} on. "
            f"{_both(metrics)}. Intervals are of 95 %, from a bootstrap over patients.{chosen}",
            "",
            *_table(("institution", "patients", "mean", "interval", "lowest"), [_group(*one) for one in groups]),
            "",
            *_table(("", ""), facts.items()),
            "",
            "Where it fails: the patients with the lowest Dice.",
            "",
            *_table(names, lost),
            "",
        ]
    )


def _both(metrics: Mapping[str, Any]) -> str:
    mirrored = "The mirror image of each slice counts too" if metrics["flip"] else "Each slice counts as it is"
    pieces = "the largest piece alone" if metrics["largest_component"] else "all pieces"
    return f"{mirrored}, and {pieces} of a prediction"


def _options(metrics: Mapping[str, Any]) -> str:
    """Of the command, so that it does what was measured."""
    given = [f"--{name.replace('_', '-')}" for name in ("flip", "largest_component") if metrics[name]]
    spared = [f"--no-{name.replace('_', '-')}" for name in ("flip", "largest_component") if not metrics[name]]
    return " ".join([*given, *spared, f"--threshold {metrics['threshold']}"])


def _group(name: str, scored: pd.DataFrame) -> tuple[str, ...]:
    dice = scored["dice"].to_numpy(dtype=np.float64)
    low, high = bootstrap_interval(dice, np.random.default_rng(BOOTSTRAP_SEED))
    return name, str(len(dice)), f"{dice.mean():.3f}", f"{low:.3f} to {high:.3f}", f"{dice.min():.3f}"


def _used(model: Model, metrics: Mapping[str, Any]) -> str:
    multiple = model.unet.network.multiple
    more = "" if model.about.scaling == "slice" else ", `mean` and `deviation` (3 float32, of the head)"
    return "\n".join(
        [
            "## How to use it",
            "",
            "As it was measured:",
            "",
            "```sh",
            f"python -m stages.lgg.predict -i SCANS -o MASKS --model unet.safetensors {_options(metrics)}",
            "```",
            "",
            "Without this project, `unet.onnx`:",
            "",
            f"- Inputs: `slices` (B H W 3 uint8; H and W are multiples of {multiple}){more}",
            "- Output: `probability` (B H W float32)",
            "",
        ]
    )


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _table(names: tuple[str, ...], rows: Any) -> list[str]:
    lines = [names, tuple("---" for _ in names), *rows]
    return [f"| {' | '.join(map(str, line))} |" for line in lines]
