"""The logits of a patient's whole stack, in the precision and with the mirror image that are asked for.

Shapes: S slices of a stack, B of them at once, H = W pixels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.lgg.inference.threads import side_by_side
from stages.lgg.scans.intensity import Scaling, brightness
from stages.lgg.unet.augment import scale_intensity
from stages.lgg.unet.batches import Precision, as_brightness, computed_in, make_exact, own_device
from stages.lgg.unet.checkpoint import Model
from stages.lgg.unet.network import UNet


def set_up(model: Model, threads: int, precision: Precision) -> Model:
    """The model on the device of this machine, which gives the same bits each time."""
    make_exact(threads, precision)
    unet = model.unet.to(own_device()).to(memory_format=torch.channels_last)
    return model._replace(unet=unet)


def logits_of(
    model: Model,
    stack: NDArray[np.uint8],
    batch: int,
    precision: Precision,
    *,
    flip: bool = False,
    volume: NDArray[np.uint8] | None = None,
    threads: int = 1,
) -> Tensor:
    """Logits (S H W float32, on the CPU) of slices of one patient (S H W 3), by `batch` of them at a time.

    The slices are the patient's `volume`, or some of it. With `flip` logits are the mean of those of a slice and of its
    mirror image, left to right. So many `threads` take a batch each.
    """
    device = next(model.unet.parameters()).device
    parts = torch.from_numpy(np.ascontiguousarray(stack)).permute(0, 3, 1, 2).split(batch)  # B 3 H W, channels last
    scale = _scale(stack if volume is None else volume, model.about.scaling, device)
    short = computed_in(precision, device) == "bfloat16"

    @torch.inference_mode()
    def seen(part: Tensor) -> Tensor:
        images = scale_intensity(part.to(device)) if scale is None else part.to(device) * scale[0] - scale[1]
        with torch.autocast(device.type, torch.bfloat16, enabled=short):
            found = _both_ways(model.unet, images) if flip else model.unet(images).float()
        return found[:, 0].cpu()

    return torch.cat([*map(seen, parts)] if threads == 1 else [*side_by_side(seen, parts, threads)])


def _scale(stack: NDArray[np.uint8], scaling: Scaling, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """What the volume's channels are multiplied by, and what is then taken away, 3 1 1 each; None to scale by slice."""
    if scaling == "slice":
        return None
    mean, deviation = as_brightness(brightness(stack), device)[..., None, None]
    return 1 / deviation, mean / deviation


def _both_ways(unet: UNet, images: Tensor) -> Tensor:
    mirrored: Tensor = unet(images.flip(3)).float().flip(3)
    plain: Tensor = unet(images).float()
    return (plain + mirrored) / 2
