"""How the weights of the U-Net move: the optimiser, the schedule of its learning rates, and a running mean of them."""

from collections.abc import Iterable, Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import Module, Parameter
from torch.optim.lr_scheduler import ConstantLR, LRScheduler, OneCycleLR

from stages.params import STRICT_KEYS

BETA2 = 0.999  # of adam and adamw: the decay of their mean squared gradient
FIRST_STEPS = 10  # after n steps a running mean keeps (1 + n) / (10 + n) of itself, until that is more than its decay


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
        optimizer = torch.optim.SGD(groups, momentum=chosen.momentum, weight_decay=decay, fused=True)
    else:
        kind = torch.optim.Adam if chosen.name == "adam" else torch.optim.AdamW
        optimizer = kind(groups, betas=(chosen.momentum, BETA2), weight_decay=decay, fused=True)
    if chosen.schedule == "one-cycle":
        return optimizer, OneCycleLR(optimizer, rates, total_steps=steps)
    return optimizer, ConstantLR(optimizer, factor=1.0)


class Mean:
    """The running mean of all that a network holds: its weights, and what its batch normalisation has counted.

    After step n it keeps min(decay, (1 + n) / (10 + n)) of itself and takes the rest from the network, so that
    first weights are soon forgotten. Source: the class ExponentialMovingAverage of TensorFlow 1.
    """

    def __init__(self, module: Module, decay: float, steps: int = 0) -> None:
        self._now = module.state_dict()  # its own tensors, which training changes in place
        self.state = {name: tensor.detach().clone() for name, tensor in self._now.items()}
        self._decay, self._steps = decay, steps
        self._floats = [name for name, tensor in self.state.items() if tensor.is_floating_point()]

    @torch.no_grad()
    def follow(self) -> None:
        """Take in the network as it is after a step, on its device and without waiting for it."""
        self._steps += 1
        kept = min(self._decay, (1 + self._steps) / (FIRST_STEPS + self._steps))
        mine, its = ([state[name] for name in self._floats] for state in (self.state, self._now))
        torch._foreach_lerp_(mine, its, 1 - kept)
        for name in self.state.keys() - set(self._floats):  # counters
            self.state[name].copy_(self._now[name])

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Go on from such a `state`."""
        for name, tensor in state.items():
            self.state[name].copy_(tensor)
