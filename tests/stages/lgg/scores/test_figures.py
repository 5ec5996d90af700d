"""The figures: which slices they show, that they show what they say, and that their bytes do not change."""

import io
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from stages.lgg.scores import figures
from stages.lgg.scores.calibration import tally
from stages.lgg.scores.figures import Shown
from stages.lgg.scores.scoring import Scores, gather, score_stack

SIZE = 16
PATIENTS = ("TCGA_CS_0001_20000101", "TCGA_DU_0002_20000101", "TCGA_HT_0003_20000101")


class Case:
    """Three patients of four slices with a square each, predicted ever further to the right."""

    def __init__(self) -> None:
        generator = np.random.default_rng(0)
        self.images: NDArray[np.uint8] = generator.integers(0, 256, (12, SIZE, SIZE, 3), dtype=np.uint8)
        self.masks = np.zeros((12, SIZE, SIZE), dtype=np.uint8)
        self.logits = torch.full((12, SIZE, SIZE), -5.0)
        for row in range(12):
            self.masks[row, 4 : 5 + row % 4, 2:8] = 1
            self.logits[row, 4 : 5 + row % 4, 2 + row // 4 : 8 + row // 4] = 5.0
        self.slices = pd.DataFrame(
            {
                "slice": range(12),
                "patient": np.repeat(PATIENTS, 4),
                "institution": np.repeat(["CS", "DU", "HT"], 4),
                "number": np.tile([1, 2, 3, 4], 3),
            }
        )

    def show(self, rows: NDArray[np.int64], threshold: float = 0.5) -> Shown:
        logits = self.logits[rows.tolist()]
        return Shown(self.images[rows], self.masks[rows], (logits.sigmoid() >= threshold).numpy(), logits)

    def scores(self) -> Scores:
        stacks = [slice(first, first + 4) for first in (0, 4, 8)]
        return gather(
            [score_stack(self.slices[some], self.logits[some], self.masks[some] == 1, 0.5) for some in stacks]
        )


@pytest.fixture(scope="module")
def case() -> Case:
    return Case()


@pytest.fixture(scope="module")
def scores(case: Case) -> Scores:
    return case.scores()


def png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def shown_in(axes: Axes) -> NDArray[Any]:
    return np.asarray(axes.images[0].get_array())


def texts(figure: Figure) -> str:
    return "\n".join(axes.get_title() for axes in figure.axes)


def test_all_figures_are_drawn_and_their_bytes_are_the_same_again(case: Case, scores: Scores) -> None:
    drawn = [
        {
            name: png(one)
            for name, one in figures.draw(case.show, scores.slices, scores.patients, scores.bins, 0.5).items()
        }
        for _ in range(2)
    ]
    assert drawn[0] == drawn[1]
    assert set(drawn[0]) == {"masks", "augmentations", "predictions", "worst-patients", "reliability"}
    assert all(one.startswith(b"\x89PNG") and b"Software" not in one for one in drawn[0].values())


@pytest.mark.parametrize(
    ("rows", "count", "expected"),
    [(24, 3, [4, 12, 20]), (24, 1, [12]), (3, 3, [0, 1, 2]), (2, 3, [0, 1]), (1, 8, [0]), (8, 8, list(range(8)))],
)
def test_evenly_takes_the_middles_of_equal_parts(rows: int, count: int, expected: list[int]) -> None:
    assert figures.evenly(pd.DataFrame({"slice": range(rows)}), count)["slice"].tolist() == expected


@given(st.integers(1, 500), st.integers(1, 30))
def test_evenly_takes_as_many_as_it_can_in_order_and_none_twice(rows: int, count: int) -> None:
    taken = figures.evenly(pd.DataFrame({"slice": range(rows)}), count)["slice"]
    assert len(taken) == min(rows, count)
    assert taken.is_monotonic_increasing


def test_worst_slices_are_the_largest_of_the_worst_patients() -> None:
    patients = pd.DataFrame({"patient": list("ABCDE"), "dice": [0.8, np.nan, 0.0, 0.3, 0.0]})
    slices = pd.DataFrame(
        {
            "patient": list("AABCCDDDEE"),
            "slice": range(10),
            "number": [1, 2, 1, 1, 2, 1, 2, 3, 1, 2],
            "tumour_px": [5, 6, 0, 9, 9, 1, 7, 7, 0, 0],
            "predicted_px": [0, 0, 0, 2, 3, 9, 4, 4, 1, 5],
        }
    )
    worst = figures.worst_slices(slices, patients, 3)
    # B is undefined, A is best. C: equal areas, the larger prediction. D: equal in all, the first. E: no tumour at all.
    assert worst[["patient", "slice", "number"]].to_numpy().tolist() == [["C", 4, 2], ["E", 9, 2], ["D", 6, 2]]


def test_masks_stand_beside_the_flair_channel_with_the_tumour_outlined(case: Case) -> None:
    slices = case.slices.iloc[[3, 7]]
    figure = figures.masks(slices, case.show(np.array([3, 7])))
    scan, mask = figure.axes[:2]
    assert np.array_equal(shown_in(scan), case.images[3, ..., 1])
    assert np.array_equal(shown_in(mask), case.masks[3])
    assert scan.get_title() == "TCGA_CS_0001_20000101\nslice 4"
    assert mask.get_title() == "its mask\n24 px"
    border = scan.collections[0].get_paths()[0].get_extents()  # x, then y: columns 2 to 7, rows 4 to 7
    assert border.bounds == pytest.approx((1.5, 3.5, 6, 4))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true tumour"]


def test_augmentations_are_24_different_maps_of_one_slice(case: Case) -> None:
    figure = figures.augmentations(case.slices.iloc[[3]], case.show(np.array([3])), torch.Generator().manual_seed(1))
    images = np.stack([shown_in(axes) for axes in figure.axes])
    assert len(np.unique(images.reshape(24, -1), axis=0)) == len(images) == 24
    assert "scale ± 20 %, rotation ± 90°, flip 50 %" in figure.get_suptitle()
    assert "Not the augmentations of training: lgg.train.augment has those" in figure.get_suptitle()


def test_predictions_are_thresholded_and_carry_the_losses_of_their_slice(case: Case) -> None:
    rows = np.array([3, 11])
    figure = figures.predictions(case.slices.iloc[rows], case.show(rows), 0.5)
    assert np.array_equal(shown_in(figure.axes[0]), case.images[3, ..., 1])
    assert np.array_equal(shown_in(figure.axes[2]), case.masks[3])
    assert np.array_equal(shown_in(figure.axes[5]), case.logits[11] > 0)
    # Slice 3 is right everywhere: cross-entropy log(1 + e⁻⁵); 24 px of tumour, 232 px of background.
    p, q = 1 / (1 + np.exp(-5)), 1 / (1 + np.exp(5))
    dice = 1 - (2 * 24 * p + 1) / (24 * p + 232 * q + 24 + 1)
    expected = f"predicted mask\nbinary cross-entropy {np.log1p(np.exp(-5)):.4f}\nsoft dice loss {dice:.4f}"
    assert figure.axes[4].get_title() == expected
    assert not shown_in(figures.predictions(case.slices.iloc[rows], case.show(rows, 0.999), 0.999).axes[4]).any()


def test_worst_patients_come_worst_first_with_their_scores(case: Case, scores: Scores) -> None:
    worst = figures.worst_slices(scores.slices, scores.patients, 2)
    figure = figures.worst_patients(worst, case.show(worst["slice"].to_numpy()))
    # The third patient's masks lie 2 px apart and share 4 of 6 columns; the second's, 1 px. HD95 is 2 px on each slice
    # but the first, whose masks are one row: there it lies between the distances 1 and 2, at place 0.95·5, so 1.75.
    assert figure.axes[0].get_title() == (
        "TCGA_HT_0003_20000101\nslice 4\nDice per volume 0.667, NSD (2 px) 1.000, HD95 1.9 px\n"
        "of 4 slices 0 missed, 0 false; volume +0 %"
    )
    assert figure.axes[1].get_title().startswith("TCGA_DU_0002_20000101\nslice 4\nDice per volume 0.833")
    assert len(figure.axes[0].collections) == 2
    assert [axes.axison for axes in figure.axes] == [False] * 6
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["true tumour", "predicted tumour"]


def test_reliability_shows_the_bins_that_hold_pixels() -> None:
    logits = np.log(
        np.array([[[0.22, 0.22, 0.9]]], dtype=np.float32) / np.array([[[0.78, 0.78, 0.1]]], dtype=np.float32)
    )
    figure = figures.reliability(tally(logits, np.array([[[True, False, True]]])))
    top, bottom = figure.axes
    assert np.allclose(top.lines[1].get_xydata(), [[0.22, 0.5], [0.9, 1.0]])
    assert [bar.get_height() for bar in bottom.containers[0]] == [0, 0, 0, 2, *[0] * 9, 1, 0]
    error = (2 * abs(0.22 - 0.5) + abs(0.9 - 1)) / 3
    assert top.lines[1].get_label() == f"U-Net, expected calibration error {error:.3f} (15 bins)"
    assert top.get_legend() is not None
