"""A network as an ONNX file that needs nothing of this project: 8-bit slices in, probabilities out.

B slices of one patient · H × W px, multiples of 2^(depth − 1), B, H and W as the caller likes
"""

import json
import warnings
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from stages.errors import BadInput
from stages.lgg.inference.logits import logits_of
from stages.lgg.scans.intensity import brightness
from stages.lgg.unet.augment import scale_intensity
from stages.lgg.unet.batches import as_brightness
from stages.lgg.unet.checkpoint import Model

OPSETS = (18, 23)
"""The first and the last that torch writes. The first is the default, for most programs read it."""
CLOSE = 1e-4
BATCH = 8


class _Slices(nn.Module):
    """Each slice is scaled by itself."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, slices: Tensor) -> Tensor:
        return _probability(self.unet, scale_intensity(slices.permute(0, 3, 1, 2)))


class _Volume(nn.Module):
    """All slices are scaled by what holds of the patient's head."""

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.unet = unet

    def forward(self, slices: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
        scale, shift = (values[:, None, None] for values in (1 / deviation, mean / deviation))
        return _probability(self.unet, slices.permute(0, 3, 1, 2).float() * scale - shift)


def _probability(unet: nn.Module, images: Tensor) -> Tensor:
    return torch.sigmoid(unet(images))[:, 0]


def to_onnx(model: Model, opset: int) -> bytes:
    """The file: `slices` (B H W 3 uint8: pre-contrast, FLAIR, post-contrast) to `probability` (B H W float32).

    If the network was trained on volumes, `mean` and `deviation` (3 float32) of each channel within the patient's head
    are inputs too. What the weights say of themselves is in the metadata. The same weights give the same bytes.

    Raises:
        BadInput: torch writes no such opset.
    """
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise BadInput(f"--opset is {opset}; it goes from {OPSETS[0]} to {OPSETS[1]}")
    multiple = model.unet.network.multiple
    sides = (2 * multiple, 3 * multiple)  # unlike, and more than one: torch takes what is alike for the same
    given: tuple[Tensor, ...] = (torch.zeros(2, *sides, 3, dtype=torch.uint8),)
    dim = torch.export.Dim
    moving: dict[str, Any] = {"slices": {0: dim("slices"), 1: multiple * dim("rows"), 2: multiple * dim("columns")}}
    whole: nn.Module = _Slices(model.unet)
    if model.about.scaling == "volume":
        whole, given = _Volume(model.unet), (*given, torch.zeros(3), torch.ones(3))
        moving |= {"mean": None, "deviation": None}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own code, about torch's own code
        made = torch.onnx.export(
            whole.eval(),
            given,
            dynamo=True,
            input_names=list(moving),
            output_names=["probability"],
            dynamic_shapes=moving,
            opset_version=opset,
            verbose=False,
        )
    assert made is not None
    return _plain(made.model_proto, model)


def _plain(proto: Any, model: Model) -> bytes:
    """Without where the code that made it lies, and with what the weights say of themselves."""
    graph = proto.graph
    parts = [proto, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer]
    for part in parts:
        del part.metadata_props[:]
        part.doc_string = ""
    for name, value in sorted(model.facts().items()):
        entry = proto.metadata_props.add()
        entry.key, entry.value = name, json.dumps(value, sort_keys=True)
    return bytes(proto.SerializeToString(deterministic=True))


def difference(content: bytes, model: Model, stack: NDArray[np.uint8]) -> float:
    """The greatest difference in probability between onnxruntime on `content` and torch on `model`, for S H W 3."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    scale = {}
    if model.about.scaling == "volume":
        mean, deviation = as_brightness(brightness(stack), torch.device("cpu")).numpy()
        scale = {"mean": mean, "deviation": deviation}
    parts = [stack[first : first + BATCH] for first in range(0, len(stack), BATCH)]
    theirs = np.concatenate([session.run(None, {"slices": part, **scale})[0] for part in parts])
    ours = logits_of(model, stack, BATCH, "float32").sigmoid().numpy()
    return float(np.abs(theirs - ours).max())
