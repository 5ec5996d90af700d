"""A model card says what was measured, of whom, and where it fails."""

from typing import Any

import numpy as np
import pandas as pd

from stages.lgg.scores.metrics import BOOTSTRAP_SEED, bootstrap_interval
from stages.lgg.sharing.card import MEASURED, card
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.models import model

DICE = [0.9, 0.1, 0.8, float("nan"), 0.7, 0.6, 0.5]
METRICS: dict[str, Any] = {
    **dict.fromkeys(MEASURED, 0.25),
    "calibration_within_10_px_of_tumour": {"expected_calibration_error_15_bins": 0.125},
    "checkpoint_chosen_on_validation": False,
    "hd95_px_mean": None,
    "flip": True,
    "largest_component": False,
    "scaling": "slice",
    "slice_size_px": 16,
    "threshold": 0.5,
}


def patients() -> pd.DataFrame:
    table = pd.DataFrame({"patient": [f"p{number}" for number in range(len(DICE))], "dice": DICE})
    return table.assign(
        institution=["A", "A", "B", "B", "B", "B", "B"], tumour_px=10, predicted_px=20, missed_slices=1, false_slices=2
    )


def page(**changes: Any) -> str:
    unet = UNet(Network(width=8, depth=2, norm="batch", dropout=0.0))
    return card(model(unet, licence="CC BY-NC-SA 4.0"), {**METRICS, **changes}, patients())


def test_intervals_by_institution() -> None:
    low, high = bootstrap_interval(np.array([0.9, 0.1]), np.random.default_rng(BOOTSTRAP_SEED))
    lines = page().splitlines()
    assert f"| A | 2 | 0.500 | {low:.3f} to {high:.3f} | 0.100 |" in lines
    assert any(line.startswith("| all | 6 | 0.600 | ") for line in lines)


def test_failures_are_shown_lowest_first_and_who_has_no_dice_is_none() -> None:
    rows = [line for line in page().splitlines() if line.startswith("| p")]
    assert [row.split(" | ")[0] for row in rows] == ["| patient", "| p1", "| p6", "| p5", "| p4", "| p2"]
    assert rows[1] == "| p1 | 0.100 | 10 | 20 | 1 | 2 |"


def test_it_says_what_it_is_not_for_and_of_what_it_was_made() -> None:
    text = page()
    assert "**It is not a medical device.**" in text
    assert "CC BY-NC-SA 4.0" in text
    assert "`" + "0" * 64 + "`" in text
    assert "| 95 % of the edge within, px (HD95) | not defined |" in text
    assert "mean` and `deviation" not in text


def test_the_command_does_what_was_measured() -> None:
    assert "--model unet.safetensors --flip --no-largest-component --threshold 0.5\n" in page()
    assert "The mirror image of each slice counts too, and all pieces of a prediction." in page()
    assert "Each slice counts as it is, and the largest piece alone" in page(flip=False, largest_component=True)


def test_a_checkpoint_that_was_chosen_says_so() -> None:
    said = "chosen on these very patients"
    assert said not in page()
    assert said in page(checkpoint_chosen_on_validation=True)
