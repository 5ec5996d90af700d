"""Tasks that are learned, masks that reconstruction never sees, and Dice by hand."""

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from stages.lgg.pretrained.reconstruction import painter
from stages.lgg.pretrained.tuning import Recipe, dice_per_volume, reconstruction, segmentation, tune
from stages.lgg.unet.batches import Slices
from stages.lgg.unet.losses import Loss
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.test_train import TRAINING, VALIDATION

LOSS = Loss(bce=0.5, dice=0.5)
EVEN = np.ones(21)
RECIPE = TypeAdapter(Recipe).validate_python(
    {
        "batch": 4,
        "loss": {"bce": 0.5, "dice": 0.5},
        "optimizer": {
            "name": "adamw", "learning_rate": 0.02, "momentum": 0.9, "weight_decay": 0.0, "schedule": "one-cycle",
        },
        "augment": {"scale": 0.0, "rotation_degrees": 0, "flip": 0.5},
    }
)  # fmt: skip


def network(seed: int = 1) -> UNet:
    torch.manual_seed(seed)
    return UNet(Network(width=8, depth=2, norm="batch", dropout=0.0))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def same(one: UNet, other: UNet) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


def test_tumours_are_found_after_some_steps() -> None:
    unet, steps = network(), list[None]()
    before = dice_per_volume(unet, VALIDATION, 0.5, 4).mean()
    loss = tune(unet, segmentation(TRAINING, EVEN, LOSS), RECIPE, 60, seeded(), on_step=lambda: steps.append(None))
    assert dice_per_volume(unet, VALIDATION, 0.5, 4).mean() > max(0.8, before + 0.2)
    assert loss < 0.3
    assert len(steps) == 60


def test_slices_of_no_weight_are_never_seen() -> None:
    weights = EVEN.copy()
    weights[5:] = 0
    changed = TRAINING._replace(images=TRAINING.images.clone(), masks=TRAINING.masks.clone())
    changed.images[5:] = 0
    changed.masks[5:] = 1
    one, other = network(), network()
    tune(one, segmentation(TRAINING, weights, LOSS), RECIPE, 5, seeded())
    tune(other, segmentation(changed, weights, LOSS), RECIPE, 5, seeded())
    assert same(one, other)


def test_reconstruction_learns_and_sees_no_mask() -> None:
    task = reconstruction(TRAINING, 0.5)
    unet, other = painter(network()), painter(network())
    other.load_state_dict(unet.state_dict())
    early = tune(unet, task, RECIPE, 4, seeded())
    without = TRAINING._replace(masks=1 - TRAINING.masks)
    assert tune(other, reconstruction(without, 0.5), RECIPE, 4, seeded()) == early
    assert same(unet, other)
    assert tune(unet, task, RECIPE, 60, seeded()) < early / 2


def test_old_layers_move_less() -> None:
    unet, first = network(), network()
    old = [name for name in unet.state_dict() if name.startswith("down.")]
    tune(unet, segmentation(TRAINING, EVEN, LOSS), RECIPE, 8, seeded(), old=old, rate=0.01)
    moved = {
        name: (value - before).abs().max().item()
        for (name, value), before in zip(unet.named_parameters(), first.parameters(), strict=True)
    }
    slow, fast = (max(value for name, value in moved.items() if (name in old) == is_old) for is_old in (True, False))
    assert 0 < slow < 0.05 * fast


class Bright(UNet):
    """Finds tumour where the first channel is bright."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 100 * (images[:, :1] - 0.5)


def test_dice_of_volumes_by_hand() -> None:
    images = torch.zeros(4, 8, 8, 3, dtype=torch.uint8)
    masks = torch.zeros(4, 8, 8, dtype=torch.uint8)
    images[0, 0, :4], masks[0, 0, 2:] = 200, 1  # volume 0: 4 predicted, 6 true, 2 of both
    images[1, 0, :2], masks[1, 0, :2] = 200, 1  # and 2, 2, 2: Dice 2·4 / 14
    images[2, 3, :3] = 200  # volume 1: 3 predicted, none true; volume 2: neither
    slices = Slices(images, masks, torch.tensor([0, 0, 1, 2]))
    for size in (1, 3, 4):
        found = dice_per_volume(Bright(network().network), slices, 0.5, size)
        assert found[:2].tolist() == pytest.approx([8 / 14, 0])
        assert np.isnan(found[2])
