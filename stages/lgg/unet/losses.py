"""The losses of the segmentation, each over a whole batch.

Shapes: logits, probability and target are B 1 H W; the target holds 0 and 1; a loss is a scalar.
"""

from torch import Tensor
from torch.nn import functional

SMOOTH = 1.0  # keeps the dice of an empty batch defined


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
