"""Files of tensors: the weights of a trained U-Net with what they say of themselves, and the state of a training.

Both are read with `weights_only`, so a file from elsewhere cannot run code. They are written through memory,
because `torch.save` puts a file's name into its bytes, and moved into place whole. Weights are also written and read
as safetensors, for programs without torch.
"""

import io
import json
import os
from dataclasses import asdict, field
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import torch
from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass
from torch import Tensor

from stages.atomic import staged
from stages.errors import BadInput
from stages.lgg.scans.intensity import Scaling
from stages.lgg.unet.network import Network, UNet

CHANNELS = ("pre-contrast", "FLAIR", "post-contrast")
SAFETENSORS = ".safetensors"
FACTS = "gliaflow"  # in the header of such a file: one entry, for the order of several is another at each run


@dataclass(frozen=True, kw_only=True)
class About:
    """What weights say of themselves."""

    trained_on: tuple[str, ...]
    """Patients, ascending."""
    validated_on: tuple[str, ...]
    """Patients, ascending."""
    side: Annotated[int, Field(ge=1)]
    """px of the slices, squares."""
    scaling: Scaling
    """Of intensities."""
    data: str
    """SHA-256 of arrays and tables."""
    code: str
    """SHA-256 of the modules of this project that trained."""
    torch: str
    """Version."""
    licence: str
    channels: tuple[str, ...] = CHANNELS
    metrics: dict[str, float | None] = field(default_factory=dict)
    """Of the epoch after which the weights were taken; None where undefined."""


class Model(NamedTuple):
    """Weights in a network, and what they say of themselves."""

    unet: UNet  # in eval mode, on the CPU
    about: About
    epoch: int

    def facts(self) -> dict[str, Any]:
        """All but the weights, plain."""
        return {"network": self.unet.network.given(), "epoch": self.epoch, "about": asdict(self.about)}


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
        # torch advises to load it all the same, which would run what is in it.
        told = "it holds other things, or is damaged" if "weights_only" in reason else reason
        raise BadInput(f"{path}: not a file of tensors that gliaflow wrote ({told}); {advice}") from None
    if not isinstance(values, dict):
        raise BadInput(f"{path}: holds a {type(values).__name__}, not named values; {advice}")
    return values


def save_unet(path: Path, network: Network, weights: dict[str, Tensor], epoch: int, about: About) -> None:
    """Write `weights`, as they stood after `epoch`, with the architecture that they fit and what is known of them."""
    # A clone, since strides are written too, and those of a dimension of one differ between memory formats.
    plain = {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in weights.items()
    }
    save_tensors({"network": network.given(), "weights": plain, "epoch": epoch, "about": asdict(about)}, path)


def save_safetensors(path: Path, model: Model) -> None:
    """Write `model` as safetensors, with all that it says of itself in the header."""
    from safetensors.torch import save

    content = save(model.unet.state_dict(), {FACTS: json.dumps(model.facts(), sort_keys=True)})
    with staged(path) as (partial,):
        partial.write_bytes(content)


def weights_of(folder: Path, checkpoint: str | int) -> Path:
    """The file of a training: `last`, `best`, or the number of an epoch.

    Raises:
        BadInput: it is not there.
    """
    path = folder / (f"epoch-{checkpoint:03d}.pt" if isinstance(checkpoint, int) else f"{checkpoint}.pt")
    if path.is_file():
        return path
    there = ", ".join(sorted(file.stem for file in folder.glob("*.pt"))) or "none"
    raise BadInput(f"{path}: no such checkpoint, there is {there}; change lgg.evaluate.checkpoint or lgg.train.keep")


def load_model(path: Path) -> Model:
    """The U-Net of `path` with all that it says of itself.

    Raises:
        BadInput: not a file that `save_unet` or `save_safetensors` wrote, or one of before weights said whom they were
            trained on.
    """
    values = _load_safetensors(path) if path.suffix == SAFETENSORS else load_tensors(path)
    if "about" not in values and "network" in values:
        raise BadInput(f"{path}: these weights do not say whom they were trained on; run dvc repro lgg-train")
    try:
        unet = UNet(TypeAdapter(Network).validate_python(values["network"]))
        unet.load_state_dict(values["weights"])
        about = TypeAdapter(About).validate_python(values["about"])
        epoch = int(values["epoch"])
        if about.side % unet.network.multiple:
            raise ValueError(f"slices of {about.side} px, no multiple of {unet.network.multiple}")
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: not the weights of a U-Net ({reason}); run dvc repro lgg-train") from None
    return Model(unet.eval(), about, epoch)


def _load_safetensors(path: Path) -> dict[str, Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            facts = dict(json.loads((file.metadata() or {})[FACTS]))
            return {**facts, "weights": {name: file.get_tensor(name) for name in file.keys()}}  # noqa: SIM118
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; run dvc repro lgg-export") from None
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise BadInput(f"{path}: not a network that gliaflow wrote ({reason}); run dvc repro lgg-export") from None
