"""The losses of the segmentation, each over a whole batch.

Shapes: logits, probability and target are B 1 H W; the target holds 0 and 1; a loss is a scalar.
"""

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

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


def segmentation_loss(logits: Tensor, target: Tensor, *, bce: float, dice: float) -> tuple[Tensor, Tensor, Tensor]:
    """The weighted sum bce·(cross-entropy) + dice·(soft dice loss), then the two parts by themselves."""
    cross_entropy = binary_cross_entropy(logits, target)
    soft_dice = soft_dice_loss(logits.float().sigmoid(), target)
    return bce * cross_entropy + dice * soft_dice, cross_entropy, soft_dice
