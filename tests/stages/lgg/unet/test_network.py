from typing import Literal

import pytest
import torch
from pydantic import ValidationError

from stages.lgg.unet.network import Network, UNet


def parameters(network: Network) -> int:
    return sum(parameter.numel() for parameter in UNet(network).parameters())


def test_the_tutorials_network_has_its_number_of_parameters() -> None:
    assert parameters(Network(width=64, depth=5, norm="none", dropout=0.6)) == 31_031_745


def test_the_authors_network_has_its_number_of_parameters() -> None:
    assert parameters(Network(width=32, depth=5, norm="batch", dropout=0.0)) == 7_763_041


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("depth", [2, 4])
def test_logits_have_the_size_of_the_image(norm: Literal["none", "batch", "group"], depth: int) -> None:
    network = Network(width=8, depth=depth, norm=norm, dropout=0.1)
    images = torch.rand(3, 3, network.multiple * 2, network.multiple * 3)
    assert UNet(network)(images).shape == (3, 1, network.multiple * 2, network.multiple * 3)


def test_dropout_stands_between_the_convolutions_of_every_block() -> None:
    unet = UNet(Network(width=8, depth=3, norm="none", dropout=0.6))
    names = [[type(layer).__name__ for layer in block] for block in [*unet.down, *unet.up]]
    assert names == [["Conv2d", "ReLU", "Dropout", "Conv2d", "ReLU"]] * 5


def test_a_pixel_sees_far_only_through_the_levels_below() -> None:
    """The reach of a logit grows with depth: two 3×3 convolutions a level, each level twice as coarse."""
    reach = {}
    for depth in (2, 3):
        torch.manual_seed(0)
        unet = UNet(Network(width=8, depth=depth, norm="none", dropout=0.0)).eval()
        image = torch.rand(1, 3, 64, 64, requires_grad=True)
        unet(image)[0, 0, 32, 32].backward()
        assert image.grad is not None
        columns = image.grad.abs().sum((0, 1, 2)).nonzero()
        reach[depth] = int(columns.max() - columns.min()) + 1
    assert reach[2] < reach[3] < 64


@pytest.mark.parametrize(
    "wrong", [{"width": 12}, {"width": 0}, {"depth": 1}, {"norm": "layer"}, {"dropout": 1.0}, {"heads": 8}]
)
def test_impossible_networks_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Network(**({"width": 8, "depth": 3, "norm": "none", "dropout": 0.0} | wrong))  # type: ignore[arg-type]
