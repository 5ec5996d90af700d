"""Trained models as tests need them: what weights say of themselves, with what a test changes."""

from typing import Any

from stages.lgg.unet.checkpoint import About, Model
from stages.lgg.unet.network import UNet

VALUES: dict[str, Any] = {
    "trained_on": ("TCGA_CS_0001_20000101",),
    "validated_on": (),
    "side": 16,
    "scaling": "slice",
    "data": "0" * 64,
    "code": "1" * 64,
    "torch": "2.0",
    "licence": "CC0-1.0",
}


def about(**changes: Any) -> About:
    """Weights trained on one patient, at 16 px."""
    return About(**VALUES | changes)


def model(unet: UNet, **changes: Any) -> Model:
    """The network with what it says of itself."""
    return Model(unet.eval(), about(**changes), 1)
