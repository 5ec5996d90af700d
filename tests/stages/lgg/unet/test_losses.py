"""Tables worked by hand."""

import math

import pytest
import torch

from stages.lgg.unet.losses import binary_cross_entropy, segmentation_loss, soft_dice_loss


def batch(*values: float) -> torch.Tensor:
    return torch.tensor(values).reshape(len(values), 1, 1, 1)


@pytest.mark.parametrize(
    ("probability", "target", "loss"),
    [
        ((1.0, 0.0), (1.0, 0.0), 0.0),  # 1 − (2·1 + 1)/(1 + 1 + 1)
        ((0.0, 0.0), (0.0, 0.0), 0.0),  # 1 − 1/1
        ((0.0, 1.0), (1.0, 0.0), 2 / 3),  # 1 − (0 + 1)/(1 + 1 + 1)
        ((0.5, 0.5), (1.0, 0.0), 1 / 3),  # 1 − (2·0.5 + 1)/(1 + 1 + 1)
        ((0.5, 0.5), (0.0, 0.0), 0.5),  # 1 − (0 + 1)/(1 + 0 + 1)
        ((1.0, 1.0, 1.0, 0.0), (1.0, 1.0, 0.0, 0.0), 1 / 6),  # 1 − (2·2 + 1)/(3 + 2 + 1)
    ],
)
def test_soft_dice_loss(probability: tuple[float, ...], target: tuple[float, ...], loss: float) -> None:
    assert soft_dice_loss(batch(*probability), batch(*target)).item() == pytest.approx(loss, abs=1e-6)


def test_soft_dice_is_over_the_batch_not_the_mean_of_its_items() -> None:
    probability, target = batch(1.0, 0.5), batch(1.0, 0.0)
    items = [soft_dice_loss(probability[i], target[i]).item() for i in range(2)]  # 0 and 1/3
    assert soft_dice_loss(probability, target).item() == pytest.approx(1 - 3 / 3.5)
    assert sum(items) / 2 == pytest.approx(1 / 6)


@pytest.mark.parametrize(
    ("logits", "target", "loss"),
    [
        ((0.0, 0.0), (1.0, 0.0), math.log(2)),
        ((math.log(3), math.log(3)), (1.0, 0.0), (math.log(4 / 3) + math.log(4)) / 2),  # p = 3/4
        ((200.0, -200.0), (0.0, 1.0), 200.0),  # finite where log(0) would not be
    ],
)
def test_binary_cross_entropy(logits: tuple[float, ...], target: tuple[float, ...], loss: float) -> None:
    assert binary_cross_entropy(batch(*logits), batch(*target)).item() == pytest.approx(loss, rel=1e-6)


def test_segmentation_loss_weighs_its_parts() -> None:
    loss, bce, dice = segmentation_loss(batch(0.0, 0.0), batch(1.0, 0.0), bce=0.7, dice=0.3)
    assert bce.item() == pytest.approx(math.log(2))
    assert dice.item() == pytest.approx(1 / 3)
    assert loss.item() == pytest.approx(0.7 * math.log(2) + 0.3 / 3)
