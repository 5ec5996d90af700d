"""How the weights of the U-Net move: the optimiser and the schedule of its learning rates."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch.nn import Parameter
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


def build(
    parameters: Mapping[float, Iterable[Parameter]], chosen: Optimizer, steps: int
) -> tuple[torch.optim.Optimizer, LRScheduler]:
    """The optimiser of `parameters` and its schedule over `steps` steps of training in all.

    Parameters stand under the part of the learning rate that is theirs: 1 for all of it, 0.1 for a tenth.
    """
    rates = [part * chosen.learning_rate for part in parameters]
    groups = [{"params": list(some), "lr": rate} for some, rate in zip(parameters.values(), rates, strict=True)]
    decay = chosen.weight_decay
    optimizer: torch.optim.Optimizer
    if chosen.name == "sgd":
        optimizer = torch.optim.SGD(groups, momentum=chosen.momentum, weight_decay=decay)
    else:
        kind = torch.optim.Adam if chosen.name == "adam" else torch.optim.AdamW
        optimizer = kind(groups, betas=(chosen.momentum, BETA2), weight_decay=decay)
    if chosen.schedule == "one-cycle":
        return optimizer, OneCycleLR(optimizer, rates, total_steps=steps)
    return optimizer, ConstantLR(optimizer, factor=1.0)
