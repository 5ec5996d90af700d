"""Steps of training that begin with any network, and the Dice of volumes that it comes to.

Shapes: N slices, B items of a batch, V volumes (one a patient), H = W pixels.
"""

from collections.abc import Callable, Collection
from typing import Annotated, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Generator, Tensor

from stages.lgg.pretrained.layers import groups
from stages.lgg.pretrained.reconstruction import hidden_error, hide
from stages.lgg.unet import optimizer
from stages.lgg.unet.augment import Augmentation, augment, jitter
from stages.lgg.unet.batches import Slices, batch, draw
from stages.lgg.unet.losses import Loss, segmentation_loss
from stages.lgg.unet.network import UNet
from stages.params import STRICT_KEYS


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Recipe:
    """What all trainings have in common."""

    batch: Annotated[int, Field(ge=2)]
    """Slices a step."""
    loss: Loss
    optimizer: optimizer.Optimizer
    augment: Augmentation


class Task(NamedTuple):
    """What is learned from."""

    slices: Slices
    weights: NDArray[np.float64]  # N probabilities, by which slices are drawn
    loss: Callable[[UNet, Tensor, Tensor, Generator], Tensor]  # of images B 3 H W and masks B 1 H W, a number
    paints: bool  # whether the network has to give an image, not logits


def segmentation(slices: Slices, weights: NDArray[np.float64], loss: Loss) -> Task:
    """Find the tumour."""

    def of_a_batch(unet: UNet, images: Tensor, masks: Tensor, _: Generator) -> Tensor:
        return segmentation_loss(unet(images), masks, bce=loss.bce, dice=loss.dice)[0]

    return Task(slices, weights, of_a_batch, paints=False)


def reconstruction(slices: Slices, hidden: float) -> Task:
    """Fill in what is hidden, a part `hidden` of all blocks; every slice counts alike and no mask is looked at."""

    def of_a_batch(unet: UNet, images: Tensor, _: Tensor, generator: Generator) -> Tensor:
        seen, where = hide(images, hidden, generator)
        return hidden_error(unet(seen), images, where)

    unseen = slices._replace(masks=torch.zeros_like(slices.masks))
    return Task(unseen, np.ones(len(slices.images)), of_a_batch, paints=True)


def tune(
    unet: UNet,
    task: Task,
    recipe: Recipe,
    steps: int,
    generator: Generator,
    *,
    old: Collection[str] = (),
    rate: float = 1,
    on_step: Callable[[], None] = lambda: None,
) -> float:
    """Train `unet` in place; parameters named in `old` move at `rate` times the learning rate. The last loss."""
    cumulative = torch.from_numpy(np.cumsum(task.weights)).to(generator.device)  # N float64
    optim, schedule = optimizer.build(groups(unet, old, rate), recipe.optimizer, steps)
    loss = torch.zeros(())
    unet.train()
    for chosen in draw(cumulative, generator, steps * recipe.batch).split(recipe.batch):
        images, masks = augment(*batch(task.slices, chosen), recipe.augment, generator)
        images = jitter(images, recipe.augment, generator)
        loss = task.loss(unet, images.contiguous(memory_format=torch.channels_last), masks, generator)
        optim.zero_grad()
        loss.backward()
        optim.step()
        schedule.step()
        on_step()
    return loss.item()


@torch.no_grad()
def dice_per_volume(unet: UNet, slices: Slices, threshold: float, size: int) -> NDArray[np.float64]:
    """The Dice of each whole volume (V), NaN where both masks are empty; `size` slices go through at once."""
    unet.eval()
    overlap, sizes = torch.zeros(2, int(slices.volumes.max()) + 1, device=slices.images.device, dtype=torch.float64)
    for chosen in torch.arange(len(slices.images), device=slices.images.device).split(size):
        images, masks = batch(slices, chosen)
        predicted = (unet(images.contiguous(memory_format=torch.channels_last)).sigmoid() >= threshold).float()
        for total, pixels in ((overlap, 2 * predicted * masks), (sizes, predicted + masks)):
            total.index_add_(0, slices.volumes[chosen], pixels.sum((1, 2, 3), dtype=torch.float64))
    return np.asarray((overlap / sizes).cpu().numpy())
