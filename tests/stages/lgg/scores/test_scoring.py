"""From logits to scores, on two patients of one slice each, worked by hand.

A's tumour is a square of 2 × 2 px, found, with a stray pixel besides. B's is as large, and nothing is found.
"""

import numpy as np
import pandas as pd
import pytest
import torch

from stages.lgg.scores.scoring import Stack, gather, score_stack

A, B = "TCGA_CS_0001_20000101", "TCGA_HT_0002_20000101"


def slices(patient: str) -> pd.DataFrame:
    """One row of slices.csv; its index is that of the whole table."""
    row = {"slice": 7, "patient": patient, "institution": patient[5:7], "number": 1, "tumour_px": 4}
    return pd.DataFrame([row], index=[7])


@pytest.fixture
def stacks() -> list[Stack]:
    """Both patients, scored at a threshold of one half."""
    truth = np.zeros((1, 8, 8), dtype=np.bool_)
    truth[0, 2:4, 2:4] = True
    found = torch.full((1, 8, 8), -10.0)
    found[0, 2:4, 2:4] = 10.0
    found[0, 7, 7] = 10.0
    nothing = torch.full((1, 8, 8), -10.0)
    return [score_stack(slices(A), found, truth, 0.5), score_stack(slices(B), nothing, truth, 0.5)]


def test_patients_are_scored_with_and_without_what_strays(stacks: list[Stack]) -> None:
    scores = gather(stacks)
    assert scores.patients["patient"].tolist() == [A, B]
    assert scores.patients["predicted_px"].tolist() == [5, 0]
    assert scores.patients["dice"].tolist() == pytest.approx([2 * 4 / (5 + 4), 0])
    assert scores.patients["dice_largest_component"].tolist() == [1, 0]
    columns = list(scores.patients)
    assert columns.index("dice_largest_component") == columns.index("dice") + 1


def test_the_largest_component_counts_where_that_was_fixed_beforehand(stacks: list[Stack]) -> None:
    scores = gather(stacks, largest_component=True)
    assert scores.patients["predicted_px"].tolist() == [4, 0]
    assert scores.patients["dice"].tolist() == [1, 0]
    assert scores.patients["dice_all_components"].tolist() == pytest.approx([2 * 4 / (5 + 4), 0])
    assert scores.metrics["dice_per_volume_mean"] == pytest.approx(1 / 2)
    assert scores.metrics["with_all_components"]["dice_per_volume_mean"] == pytest.approx(4 / 9)
    assert "with_largest_component_only" not in scores.metrics
    assert scores.slices["predicted_px"].tolist() == [4, 0]
    predicted, component = (mask[0] for mask in stacks[0].masks)
    assert (predicted.sum(), predicted[7, 7], component.sum(), component[2:4, 2:4].sum()) == (5, 1, 4, 4)


def test_what_the_component_leaves_as_it_is_has_the_same_scores_as_if_measured_anew() -> None:
    truth, found = np.zeros((3, 8, 8), dtype=np.bool_), torch.full((3, 8, 8), -10.0)
    truth[:2, 2:5, 2:5] = True
    found[:2, 2:5, 3:6] = 10.0
    found[2, 7, 7] = 10.0  # far from the others
    table = pd.concat([slices(A)] * 3)
    apart = score_stack(table, found, truth, 0.5)
    found[2, 7, 7] = -10.0
    alone = score_stack(table, found, truth, 0.5)
    names = [name for name in apart.largest if name in {"overlap_px", "predicted_px", "tumour_px", "nsd", "hd95_px"}]
    assert len(names) == 5
    pd.testing.assert_frame_equal(apart.largest[names], alone.predicted[names])
    assert apart.predicted["predicted_px"].tolist() == [9, 9, 1]


def test_metrics_are_over_patients(stacks: list[Stack]) -> None:
    metrics = gather(stacks).metrics
    assert (metrics["patients"], metrics["slices"]) == (2, 2)
    assert metrics["dice_per_volume_mean"] == pytest.approx(4 / 9)
    assert metrics["with_largest_component_only"]["dice_per_volume_mean"] == pytest.approx(1 / 2)
    assert metrics["by_institution"]["CS"]["dice_per_volume_mean"] == pytest.approx(8 / 9)
    assert metrics["by_institution"]["HT"]["dice_per_volume_mean"] == 0
    assert gather(stacks).metrics == metrics


def test_volumes_are_in_ml_and_distances_in_mm_where_the_spacing_is_known(stacks: list[Stack]) -> None:
    """Pixels of 2 × 0.5 mm, slices 5 mm apart: 4 px are 4 · 5 mm³. The square is found two columns too far right."""
    truth, found = np.zeros((1, 8, 8), dtype=np.bool_), torch.full((1, 8, 8), -10.0)
    truth[0, 2:4, 2:4] = True
    found[0, 2:4, 4:6] = 10.0
    scores = gather([score_stack(slices(A), found, truth, 0.5, (2.0, 0.5, 5.0)), stacks[1]])
    units = scores.patients[["tumour_ml", "predicted_ml", "nsd_2mm", "hd95_mm"]]
    assert units.to_numpy()[0].tolist() == pytest.approx([0.02, 0.02, 1.0, 1.0])
    assert units.isna().to_numpy()[1].all()
    assert scores.patients["hd95_px"].tolist()[0] == 2
    assert (scores.metrics["hd95_mm_mean"], scores.metrics["volume_error_ml_absolute_mean"]) == (1, 0)
    assert scores.metrics["patients_of_known_spacing"] == 1


def test_slices_keep_their_names_and_order(stacks: list[Stack]) -> None:
    both = gather(stacks[::-1]).slices
    assert both[["slice", "patient", "institution", "number"]].to_numpy().tolist() == [[7, B, "HT", 1], [7, A, "CS", 1]]


@pytest.mark.parametrize(("threshold", "predicted"), [(0.5, 16), (0.51, 0)])
def test_a_pixel_is_tumour_from_the_threshold_on(threshold: float, predicted: int) -> None:
    stack = score_stack(slices(A), torch.zeros(1, 4, 4), np.ones((1, 4, 4), dtype=np.bool_), threshold)
    assert stack.predicted["predicted_px"].tolist() == [predicted]
