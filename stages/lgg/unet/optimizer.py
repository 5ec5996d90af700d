"""How the weights of the U-Net move: the optimiser and the schedule of its learning rate."""

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import nn
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from stages.params import STRICT_KEYS

BETA2 = 0.999  # of adam and adamw: the decay of their mean squared gradient


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Optimizer:
    """An optimiser with its schedule."""

    name: Literal["sgd", "adam", "adamw"]
    learning_rate: Annotated[float, Field(gt=0)]
    """The highest, where the schedule changes it."""
    momentum: Annotated[float, Field(ge=0, lt=1)]
    """Of sgd; the first beta of adam and adamw. One-cycle puts its own in its place: 0.95 → 0.85 → 0.95."""
    weight_decay: Annotated[float, Field(ge=0)]
    schedule: Literal["one-cycle", "constant"]
    """Of the learning rate, step by step; one-cycle starts at a 25th, peaks at 30 % of the steps, ends near 0."""


def build(model: nn.Module, chosen: Optimizer, steps: int) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """The optimiser of `model`'s parameters and its schedule over `steps` steps of training in all."""
    rate, decay = chosen.learning_rate, chosen.weight_decay
    optimizer: torch.optim.Optimizer
    if chosen.name == "sgd":
        optimizer = torch.optim.SGD(model.parameters(), rate, chosen.momentum, weight_decay=decay)
    else:
        kind = torch.optim.Adam if chosen.name == "adam" else torch.optim.AdamW
        optimizer = kind(model.parameters(), rate, (chosen.momentum, BETA2), weight_decay=decay)
    if chosen.schedule == "one-cycle":
        return optimizer, OneCycleLR(optimizer, rate, total_steps=steps)
    return optimizer, ConstantLR(optimizer, factor=1.0)
