"""One network, or several that vote: what they say of a scan, on the grid of the scan.

S slices of H W px · s px, the side that the networks were trained on
"""

import math
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from stages.errors import BadInput
from stages.lgg.inference.logits import logits_of, set_up
from stages.lgg.inference.reading import Read
from stages.lgg.scans.geometry import to_scan
from stages.lgg.unet.batches import Precision
from stages.lgg.unet.checkpoint import SAFETENSORS, Model, load_model

Values = NDArray[np.float32]


class Members(NamedTuple):
    """Networks of one side, and the SHA-256 of the file of each."""

    models: list[Model]
    hashes: dict[str, str]

    def named(self) -> list[tuple[str, Model]]:
        """The networks by the names of their files."""
        return list(zip(self.hashes, self.models, strict=True))

    @property
    def licences(self) -> list[str]:
        """Of the data that they were trained on."""
        return sorted({model.about.licence for model in self.models})

    @property
    def side(self) -> int:
        """px"""
        return self.models[0].about.side


class Predicted(NamedTuple):
    """What is said of a scan, all S H W."""

    mask: NDArray[np.bool_]
    probabilities: Values
    uncertainty: Values | None
    """If asked for. Of one network, the entropy in bits; of several, the standard deviation of their probabilities."""


def load_members(path: Path, threads: int, precision: Precision) -> Members:
    """The network of a file; of a folder, last.pt if it is there, else all of its networks.

    Raises:
        BadInput: no network there, one that cannot be read, or networks of different sides.
    """
    if path.is_file():
        files = [path]
    elif (last := path / "last.pt").is_file():
        files = [last]
    else:
        files = sorted(path.glob("*.pt")) or sorted(path.glob(f"*{SAFETENSORS}"))
    if not files:
        raise BadInput(f"{path}: no network there; give a file such as last.pt, or a folder of several")
    models = [set_up(load_model(file), threads, precision) for file in files]
    for file, model in zip(files, models, strict=True):
        if model.about.side != models[0].about.side:
            sides = f"{model.about.side} px, and {files[0]} for {models[0].about.side} px"
            raise BadInput(f"{file} is for slices of {sides}; networks that vote have one side")
    return Members(models, {file.name: sha256(file.read_bytes()).hexdigest() for file in files})


def predict(
    members: Members,
    scan: Read,
    *,
    threshold: float,
    flip: bool,
    largest: bool,
    batch: int,
    precision: Precision,
    uncertainty: bool = False,
    threads: int = 1,
) -> Predicted:
    """The mean of the members' logits as probabilities, a mask from `threshold` on, and how unsure they are.

    Raises:
        BadInput: a network gives something else than numbers.
    """
    stack = scan.packed(members.side)
    logits = torch.stack(
        [logits_of(model, stack, batch, precision, flip=flip, threads=threads) for model in members.models]
    )
    if not logits.isfinite().all():
        raise BadInput("the network gives no finite numbers for this scan; train it again, or use --precision float32")
    probabilities = _back(logits.mean(0), scan).sigmoid()
    mask = (probabilities >= threshold).numpy()
    unsure = _uncertainty(logits, probabilities, scan).numpy() if uncertainty else None
    return Predicted(_largest_component(mask) if largest else mask, probabilities.numpy(), unsure)


def _uncertainty(logits: Tensor, probabilities: Tensor, scan: Read) -> Tensor:
    if len(logits) > 1:
        return _back(logits.sigmoid().std(0, correction=0), scan)
    entropy: Tensor = torch.special.entr(probabilities) + torch.special.entr(1 - probabilities)
    return entropy / math.log(2)


def _largest_component(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from stages.lgg.scores.metrics import largest_component  # with it come pandas and SciPy, for half a second

    return largest_component(mask)


def _back(values: Tensor, scan: Read) -> Tensor:
    return to_scan(values, scan.grid.height, scan.grid.width)
