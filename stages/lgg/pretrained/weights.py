"""Weights that another training made, for the network of this one: which of them fit, by name and by shape.

Two kinds of files are read: a checkpoint of lgg-train, and the weights of a ResNet under torchvision's names.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from stages.errors import BadInput
from stages.lgg.unet.checkpoint import load_tensors
from stages.lgg.unet.network import Network, UNet
from stages.params import STRICT_KEYS

NONE = "none"
RESNET = "down.resnet."  # what the names of a ResNet's layers begin with here, before torchvision's own
FIRST = f"{RESNET}conv1.weight"
COUNTER = ".num_batches_tracked"  # of batch normalisation; old files lack it, and nothing here reads it
MOST_NAMES = 12  # in an error
Layers = Literal["all", "encoder"]


@dataclass(frozen=True, kw_only=True, config=STRICT_KEYS)
class Start:
    """What training starts from."""

    weights: Annotated[str, Field(min_length=1)]
    """none for first weights; else the path of a checkpoint, or of the weights of a ResNet."""
    layers: Layers
    """Which layers a checkpoint fills: all, or the way down alone."""
    rate: Annotated[float, Field(ge=0, le=1)]
    """The learning rate of the filled layers, as a part of that of the others; 0 freezes them."""


class Pretrained(NamedTuple):
    """The weights that fit, by the names of the network's state; and what remains on either side."""

    weights: dict[str, Tensor]
    unused: list[str]  # names that only the file has, or that were not asked for
    new: list[str]  # names that only the network has, or that were not asked for
    trained_on: tuple[str, ...] = ()  # patients, as far as the file says

    def report(self) -> str:
        """All names that remain, on up to three lines."""
        lines = [f"{len(self.weights)} tensors are loaded"]
        lines += [f"in the file and not used: {', '.join(self.unused)}"] if self.unused else []
        lines += [f"with first weights: {', '.join(self.new)}"] if self.new else []
        return "\n".join(lines)


def read(path: Path, network: Network, layers: Layers) -> Pretrained:
    """The weights of `path` for `network`.

    A ResNet's weights are for the encoder's ResNet. Its first convolution is brought to the channels of a slice by
    `fit_channels`. Blocks that are `inserted` may be missing from the file, no other weight of the chosen layers.

    Raises:
        BadInput: no such file, neither kind of file, or names are missing or have another shape.
    """
    given, prefix, trained_on = _named_as_here(path, network, layers)
    with torch.device("meta"):  # names and shapes alone
        wanted = UNet(network).state_dict()
    expected = [name for name in wanted if name.startswith(prefix) and not name.endswith(COUNTER)]
    missing = [name for name in expected if name not in given and not name.startswith("inserted.")]
    if FIRST in given and given[FIRST].ndim == wanted[FIRST].ndim:
        given[FIRST] = fit_channels(given[FIRST], wanted[FIRST].shape[1])
    fitting = {name: given[name] for name in wanted if name in given and name.startswith(prefix)}
    unused = [name.removeprefix(RESNET if prefix == RESNET else "") for name in given if name not in fitting]
    misshapen = [
        f"{name} ({_shape(tensor)} in the file, {_shape(wanted[name])} here)"
        for name, tensor in fitting.items()
        if tensor.shape != wanted[name].shape
    ]
    if missing or misshapen:
        parts = {"missing": missing, "of another shape": misshapen, "unexpected": unused}
        listed = "; ".join(f"{what}: {_some(names)}" for what, names in parts.items() if names)
        raise BadInput(f"{path}: does not fit lgg.train.network: {listed}; change one of them")
    return Pretrained(fitting, unused, [name for name in wanted if name not in fitting], trained_on)


def fit_channels(kernel: Tensor, channels: int) -> Tensor:
    """A first convolution (O C h w) for images of another number of channels: O `channels` h w.

    The same number keeps it. Else each new channel gets the mean over the old ones, times C / `channels`, so that an
    image whose channels are all alike gives what it gave before.
    """
    before = kernel.shape[1]
    if before == channels:
        return kernel
    return (kernel.mean(1, keepdim=True) * (before / channels)).repeat(1, channels, 1, 1)


def _named_as_here(path: Path, network: Network, layers: Layers) -> tuple[dict[str, Tensor], str, tuple[str, ...]]:
    """The tensors of the file by the names that they have in a U-Net, what those begin with that are asked for, and
    the patients that they were trained on."""
    if not path.is_file():
        raise BadInput(f"{path}: no such file; put {_file(network)} there, or set lgg.train.start.weights to none")
    values = load_tensors(path, advice="change lgg.train.start.weights")
    if isinstance(values.get("weights"), dict) and "network" in values:
        known = tuple(map(str, dict(values.get("about", {})).get("trained_on", ())))
        return _tensors(path, values["weights"]), "down." if layers == "encoder" else "", known
    if network.encoder == NONE:
        raise BadInput(f"{path}: no checkpoint of lgg-train; weights of a ResNet need lgg.train.network.encoder")
    return {RESNET + name: tensor for name, tensor in _tensors(path, values).items()}, RESNET, ()


def _tensors(path: Path, values: dict[Any, Any]) -> dict[str, Tensor]:
    if bad := [name for name, value in values.items() if not isinstance(value, Tensor)]:
        raise BadInput(f"{path}: neither a checkpoint of lgg-train nor weights by name: {_some(map(str, bad))}")
    return {str(name): value for name, value in values.items()}


def _file(network: Network) -> str:
    """In words, which file fits."""
    if network.encoder == NONE:
        return "a checkpoint of lgg-train (last.pt)"
    from torchvision.models import get_model_weights

    weights = get_model_weights(network.encoder)["IMAGENET1K_V1"]
    return f"torchvision's {weights.url.rpartition('/')[2]} ({weights})"


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "a number"


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    more = f" and {len(listed) - MOST_NAMES} more" if len(listed) > MOST_NAMES else ""
    return ", ".join(listed[:MOST_NAMES]) + more
