"""The losses of the segmentation, each over a whole batch.

Shapes: logits, probability and target are B 1 H W; the target holds 0 and 1; a loss is a scalar.
"""

from typing import Annotated

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from stages.lgg.unet.together import ALONE, Together
from stages.params import STRICT_KEYS

SMOOTH = 1.0  # keeps the dice of an empty batch defined


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Loss:
    """Weights of the parts of the loss."""

    bce: Annotated[float, Field(ge=0)]
    dice: Annotated[float, Field(ge=0)]

    @field_validator("dice")
    @classmethod
    def _something_to_learn(cls, dice: float, info: ValidationInfo) -> float:
        if dice == 0 and info.data.get("bce") == 0:
            raise ValueError("and so is bce; give one of them a weight")
        return dice


def binary_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over all pixels of −y·log p − (1 − y)·log(1 − p), from logits for precision."""
    return functional.binary_cross_entropy_with_logits(logits.float(), target)


def soft_dice_loss(probability: Tensor, target: Tensor) -> Tensor:
    """1 − (2·Σpy + 1) / (Σp + Σy + 1) over the whole batch, not item by item (the tutorial's)."""
    overlap = (probability * target).sum()
    return 1 - (2 * overlap + SMOOTH) / (probability.sum() + target.sum() + SMOOTH)


def segmentation_loss(
    logits: Tensor, target: Tensor, *, bce: float, dice: float, together: Together = ALONE
) -> tuple[Tensor, Tensor, Tensor]:
    """The weighted sum bce·(cross-entropy) + dice·(soft dice loss), then the two parts by themselves.

    Where several processes train `together`, each gives its part of the batch, and the losses are those of all parts.
    """
    if together.size == 1:
        cross_entropy = binary_cross_entropy(logits, target)
        soft_dice = soft_dice_loss(logits.float().sigmoid(), target)
    else:
        cross_entropy, soft_dice = _of_all_parts(logits.float(), target, together)
    return bce * cross_entropy + dice * soft_dice, cross_entropy, soft_dice


def _of_all_parts(logits: Tensor, target: Tensor, together: Together) -> tuple[Tensor, Tensor]:
    """`binary_cross_entropy` and `soft_dice_loss` of the whole batch, from the sums of its parts."""
    probability = logits.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    pixels = torch.full_like(entropy, target.numel())
    sums = [entropy, pixels, (probability * target).sum(), probability.sum() + target.sum()]
    entropy, pixels, overlap, area = together.total(torch.stack(sums)).unbind()
    return entropy / pixels, 1 - (2 * overlap + SMOOTH) / (area + SMOOTH)
