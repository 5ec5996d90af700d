"""An exported network says what torch says, for any number of slices of any size, and nothing of where it was made."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from stages.errors import BadInput
from stages.lgg.sharing.graph import CLOSE, difference, to_onnx
from stages.lgg.unet.checkpoint import Model, load_model
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg import labs
from tests.stages.lgg.models import model


def made(scaling: str = "slice", **changes: object) -> Model:
    """A network of random weights whose batch norms have seen something."""
    torch.manual_seed(3)
    network = Network(**{"width": 8, "depth": 3, "norm": "batch", "dropout": 0.2, **changes})  # type: ignore[arg-type]
    unet = UNet(network).train()
    unet(torch.rand(4, 3, 32, 32))
    return model(unet, scaling=scaling)


@pytest.mark.parametrize("scaling", ["slice", "volume"])
@pytest.mark.parametrize("changes", [{}, {"norm": "group", "inserted": 2}, {"norm": "none"}, {"encoder": "resnet18"}])
def test_probabilities_are_those_of_torch(scaling: str, changes: dict[str, object]) -> None:
    one = made(scaling, **changes)
    content = to_onnx(one, 18)
    for shape in ((1, 16, 16), (11, 20, 28), (3, 64, 8)):
        assert difference(content, one, labs.pixels(shape=shape)) <= CLOSE


def test_a_difference_is_found() -> None:
    one, other = made(), made(norm="none")
    assert difference(to_onnx(other, 18), one, labs.pixels(shape=(2, 16, 16))) > CLOSE


@pytest.mark.parametrize("opset", [18, 20, 23])
def test_the_file_is_a_sound_one_of_the_opset(opset: int) -> None:
    content = onnx.load_from_string(to_onnx(made("volume"), opset))
    onnx.checker.check_model(content, full_check=True)
    assert {one.domain: one.version for one in content.opset_import}[""] == opset
    assert [one.name for one in content.graph.input] == ["slices", "mean", "deviation"]
    sides = [dim.dim_param for dim in content.graph.input[0].type.tensor_type.shape.dim]
    assert sides == ["slices", "4*rows", "4*columns", ""]


@pytest.mark.parametrize("opset", [17, 24])
def test_an_opset_that_torch_does_not_write(opset: int) -> None:
    with pytest.raises(BadInput, match=f"--opset is {opset}; it goes from 18 to 23"):
        to_onnx(made(), opset)


def test_it_says_of_itself_what_the_weights_say() -> None:
    one = made()
    facts = {entry.key: json.loads(entry.value) for entry in onnx.load_from_string(to_onnx(one, 18)).metadata_props}
    assert facts["about"]["trained_on"] == list(one.about.trained_on)
    assert facts["network"] == {"width": 8, "depth": 3, "norm": "batch", "dropout": 0.2}
    assert facts["epoch"] == 1


def test_the_same_weights_are_the_same_bytes_which_tell_nothing_of_this_machine(tmp_path: Path) -> None:
    path = labs.network(tmp_path / "last.pt")
    content = to_onnx(load_model(path), 18)
    code = "import sys; from pathlib import Path; from stages.lgg.sharing.graph import to_onnx; from stages.lgg.unet"
    code += ".checkpoint import load_model; sys.stdout.buffer.write(to_onnx(load_model(Path(sys.argv[1])), 18))"
    line = [sys.executable, "-c", code, str(path)]
    again = subprocess.run(line, capture_output=True, check=True, env={**os.environ, "PYTHONHASHSEED": "7"})
    assert again.stdout.endswith(content)
    assert b".py" not in content


def test_slices_of_one_value_are_no_nan() -> None:
    one = made("volume")
    assert difference(to_onnx(one, 18), one, np.zeros((2, 16, 16, 3), np.uint8)) <= CLOSE
