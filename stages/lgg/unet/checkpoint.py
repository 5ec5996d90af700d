"""Files of tensors: the weights of a trained U-Net, and the state from which a killed training goes on.

Both are read with `weights_only`, so a file from elsewhere cannot run code. They are written through memory,
because `torch.save` puts a file's name into its bytes, and moved into place whole.
"""

import io
import os
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from stages.atomic import staged
from stages.errors import BadInput
from stages.lgg.unet.network import Network, UNet


def save_tensors(values: dict[str, Any], path: Path) -> None:
    """Write tensors and plain values; the same values give the same bytes, and the file is never seen half-written."""
    buffer = io.BytesIO()
    torch.save(values, buffer)
    with staged(path) as (partial,), partial.open("wb") as file:
        file.write(buffer.getbuffer())
        file.flush()
        os.fsync(file.fileno())


def load_tensors(path: Path, advice: str = "run dvc repro lgg-train") -> dict[str, Any]:
    """Read what `save_tensors` wrote, onto the CPU; `advice` ends an error.

    Raises:
        BadInput: no such file, damaged, or with anything but tensors and plain values inside.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; {advice}") from None
    except Exception as error:  # a damaged file makes the unpickler raise almost anything
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise BadInput(f"{path}: not a file of tensors that gliaflow wrote ({reason}); {advice}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path}: holds a {type(values).__name__}, not named values; {advice}")
    return values


def save_unet(path: Path, network: Network, weights: dict[str, Tensor], epoch: int) -> None:
    """Write `weights`, as they stood after `epoch`, with the architecture that they fit."""
    # A clone, since strides are written too, and those of a dimension of one differ between memory formats.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }
    save_tensors({"network": network.given(), "weights": plain, "epoch": epoch}, path)


def load_unet(path: Path) -> UNet:
    """The U-Net of `path`, in eval mode on the CPU.

    Raises:
        BadInput: not a file that `save_unet` wrote.
    """
    values = load_tensors(path)
    try:
        unet = UNet(TypeAdapter(Network).validate_python(values["network"]))
        unet.load_state_dict(values["weights"])
    except (KeyError, ValidationError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: not the weights of a U-Net ({reason}); run dvc repro lgg-train") from None
    return unet.eval()
