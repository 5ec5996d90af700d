"""What each arm starts from, what it may change, and that arms of a seed share what they must."""

from typing import Any

import pytest
import torch
from pydantic import TypeAdapter

from stages.errors import BadParameters
from stages.lgg.pretrained.arms import Trainer, Training, arms, steps_in_all
from stages.lgg.pretrained.tuning import Task, reconstruction, segmentation
from stages.lgg.unet.batches import Slices
from stages.lgg.unet.network import UNet
from tests.stages.lgg.pretrained.test_tuning import EVEN, LOSS, RECIPE
from tests.stages.lgg.test_train import TRAINING, VALIDATION

CPU = torch.device("cpu")
NAMES = ["scratch", "scratch-longer", "painting", "masks", "masks-frozen", "masks-untuned"]
TARGET = segmentation(VALIDATION, EVEN[:8], LOSS)
VALUES: dict[str, Any] = {
    "steps_before": 6, "steps": 4, "rate": 0.5, "recipe": RECIPE,
    "network": {"width": 8, "depth": 2, "norm": "batch", "dropout": 0.2},
}  # fmt: skip


def training(**changed: Any) -> Training:
    return TypeAdapter(Training).validate_python(VALUES | changed)


def before(slices: Slices = TRAINING) -> dict[str, Task]:
    return {"painting": reconstruction(slices, 0.5), "masks": segmentation(slices, EVEN, LOSS)}


def found(seed: int = 1, target: Task = TARGET, slices: Slices = TRAINING, **changed: Any) -> dict[str, UNet]:
    return dict(arms(before(slices), target, Trainer(training(**changed), seed, CPU)))


def weights(unet: UNet, prefix: str = "") -> dict[str, torch.Tensor]:
    return {name: value for name, value in unet.state_dict().items() if name.startswith(prefix)}


def equal(one: UNet, other: UNet, prefix: str = "") -> bool:
    here, there = weights(one, prefix), weights(other, prefix)
    return all(torch.equal(value, there[name]) for name, value in here.items())


def test_the_arms_are_the_seeds_and_no_two_are_alike() -> None:
    one, again, other = found(), found(), found(seed=2)
    assert list(one) == NAMES
    assert all(equal(one[name], again[name]) for name in NAMES)
    assert not any(equal(one[name], other[name]) for name in NAMES)
    assert not any(equal(one[a], one[b]) for a in NAMES for b in NAMES if a != b)


def test_frozen_layers_are_those_that_were_trained_before() -> None:
    one = found()
    assert equal(one["masks-frozen"], one["masks-untuned"], "down.")
    assert not equal(one["masks-frozen"], one["masks-untuned"], "up.")
    assert not equal(one["masks"], one["masks-untuned"], "down.")


def test_the_untuned_arm_has_not_seen_the_target_nor_scratch_what_comes_before() -> None:
    other_target = segmentation(VALIDATION._replace(masks=1 - VALIDATION.masks), EVEN[:8], LOSS)
    one, two = found(), found(target=other_target)
    assert [name for name in NAMES if equal(one[name], two[name])] == ["masks-untuned"]
    three = found(slices=TRAINING._replace(masks=1 - TRAINING.masks))
    assert [name for name in NAMES if equal(one[name], three[name])] == ["scratch", "scratch-longer", "painting"]
    four = found(slices=TRAINING._replace(images=255 - TRAINING.images))
    assert [name for name in NAMES if equal(one[name], four[name])] == ["scratch", "scratch-longer"]


def test_scratch_longer_is_scratch_with_more_steps() -> None:
    assert equal(found()["scratch-longer"], found(steps=10)["scratch"])


def test_before_the_first_step_arms_hold_what_they_were_given() -> None:
    """With a rate of nearly 0 they keep it, but for batch normalisation's statistics and the new last layer."""
    one = found(rate=1e-9)
    for name, given in weights(one["masks-untuned"]).items():
        if "running" not in name and "num_batches" not in name:
            assert torch.allclose(one["masks"].state_dict()[name], given, atol=1e-6)
    assert not torch.allclose(one["scratch"].state_dict()["up.0.0.weight"], weights(one["masks"])["up.0.0.weight"])


@pytest.mark.parametrize("encoder", ["none", "resnet18"])
def test_steps_are_counted(encoder: str) -> None:
    steps = list[None]()
    chosen = training(network=VALUES["network"] | {"encoder": encoder})
    list(arms(before(), TARGET, Trainer(chosen, 1, CPU, lambda: steps.append(None))))
    assert len(steps) == steps_in_all(chosen, 2) == 3 * 6 + 5 * 4


def test_a_loss_that_is_no_number_ends_it() -> None:
    optimizer = {"name": "sgd", "learning_rate": 1e30, "momentum": 0.9, "weight_decay": 0, "schedule": "constant"}
    recipe = TypeAdapter(dict[str, Any]).validate_python(
        {"batch": 4, "loss": {"bce": 1, "dice": 0}, "optimizer": optimizer, "augment": vars(RECIPE.augment)}
    )
    with pytest.raises(BadParameters, match=r"a loss is nan; lower lgg\.transfer\.training\.recipe\.optimizer\.learn"):
        found(recipe=recipe, network=VALUES["network"] | {"norm": "none"})
