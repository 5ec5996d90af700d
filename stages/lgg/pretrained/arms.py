"""The arms of a comparison: networks that differ in what they were trained on before they see the target."""

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from stages.errors import BadParameters
from stages.lgg.pretrained.layers import freeze
from stages.lgg.pretrained.reconstruction import learned, painter
from stages.lgg.pretrained.tuning import Recipe, Task, tune
from stages.lgg.unet.batches import seeded
from stages.lgg.unet.network import Network, UNet
from stages.params import STRICT_KEYS

SCRATCH, LONGER = "scratch", "scratch-longer"
FIRST_WEIGHTS, BEFORE, ON_TARGET = range(3)  # what draws are for; each has its own
Weights = dict[str, Tensor]


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Training:
    """How all arms are trained."""

    steps_before: Annotated[int, Field(ge=4)]
    """Of each training before that on the target."""
    steps: Annotated[int, Field(ge=4)]
    """On the target."""
    rate: Annotated[float, Field(gt=0, le=1)]
    """The learning rate on the target of layers that were trained before, as a part of that of new ones."""
    network: Network
    recipe: Recipe


class Trainer(NamedTuple):
    """Trains the networks of one seed: all from the same first weights, on the same draws."""

    training: Training
    seed: int
    device: torch.device
    on_step: Callable[[], None] = lambda: None

    def first(self) -> UNet:
        """The network with its first weights."""
        with seeded(self.seed, FIRST_WEIGHTS, self.device):
            unet = UNet(self.training.network)
        return unet.to(self.device).to(memory_format=torch.channels_last)

    def before(self, task: Task) -> Weights:
        """What a network has learned from `task`."""
        unet = self.first()
        if task.paints:
            with seeded(self.seed, BEFORE, self.device):
                unet = painter(unet).to(self.device)
        self._train(unet, task, self.training.steps_before, BEFORE)
        return learned(unet) if task.paints else unet.state_dict()

    def on_target(self, unet: UNet, target: Task, old: Weights | None = None, more_steps: int = 0) -> UNet:
        """`unet`, trained on the target; the layers that are `old` learn at their own rate."""
        self._train(unet, target, self.training.steps + more_steps, ON_TARGET, old or {})
        return unet

    def _train(self, unet: UNet, task: Task, steps: int, draws: int, old: Weights | None = None) -> None:
        rate, recipe = self.training.rate, self.training.recipe
        with seeded(self.seed, draws, self.device) as generator:
            loss = tune(unet, task, recipe, steps, generator, old=old or {}, rate=rate, on_step=self.on_step)
        if not math.isfinite(loss):
            raise BadParameters(
                f"lgg.transfer: a loss is {loss}; lower lgg.transfer.training.recipe.optimizer.learning_rate"
            )


def arms(before: Mapping[str, Task], target: Task, trainer: Trainer) -> Iterator[tuple[str, UNet]]:
    """The arms of a seed by name: two from scratch, then for each task `before` its own; see `steps_in_all`.

    `scratch-longer` takes on the target as many steps as the others take in all. The last task before also gives an
    arm whose way down is frozen on the target, and one that takes no step there.

    Raises:
        BadParameters: a loss is no number.
    """
    yield SCRATCH, trainer.on_target(trainer.first(), target)
    yield LONGER, trainer.on_target(trainer.first(), target, more_steps=trainer.training.steps_before)
    for name, task in before.items():
        weights = trainer.before(task)
        yield name, trainer.on_target(_filled(trainer.first(), weights), target, weights)
    frozen = _filled(trainer.first(), weights)
    freeze(frozen, [layer for layer in weights if layer.startswith("down.")])
    yield f"{name}-frozen", trainer.on_target(frozen, target, weights)
    yield f"{name}-untuned", _filled(trainer.first(), weights)


def steps_in_all(training: Training, tasks_before: int) -> int:
    """The steps that `arms` takes for one seed."""
    return (1 + tasks_before) * training.steps_before + (3 + tasks_before) * training.steps


def _filled(unet: UNet, weights: Weights) -> UNet:
    """`unet` with copies of `weights` in place of its own, where there are some."""
    unet.load_state_dict(unet.state_dict() | copy.deepcopy(weights))
    return unet
