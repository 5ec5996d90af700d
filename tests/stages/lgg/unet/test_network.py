import copy
from itertools import pairwise
from typing import Literal

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from stages.lgg.unet.network import Network, Residual, UNet, Upsample


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
    names = [[type(layer).__name__ for layer in block] for block in [*unet.down.children(), *unet.up]]
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


def first_unet(width: int, depth: int, dropout: float) -> nn.ModuleDict:
    """The U-Net with batch normalisation as it was before there were encoders, by torch's layers alone."""

    def convolution(channels_in: int, channels_out: int) -> list[nn.Module]:
        return [nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False), nn.BatchNorm2d(channels_out), nn.ReLU()]

    def block(channels_in: int, channels_out: int) -> nn.Sequential:
        one, two = convolution(channels_in, channels_out), convolution(channels_out, channels_out)
        return nn.Sequential(*one, nn.Dropout(dropout), *two)

    widths = [width * 2**level for level in range(depth)]
    return nn.ModuleDict(
        {
            "down": nn.ModuleList(block(i, o) for i, o in pairwise([3, *widths])),
            "upsample": nn.ModuleList(nn.ConvTranspose2d(i, o, 2, stride=2) for i, o in pairwise(widths[::-1])),
            "up": nn.ModuleList(block(i, o) for i, o in pairwise(widths[::-1])),
            "last": nn.Conv2d(width, 1, 1),
        }
    )


def test_without_an_encoder_it_is_the_first_u_net_bit_for_bit() -> None:
    """Names, first weights, outputs, and what dropout drops; in training another order of sums rounds otherwise."""
    torch.manual_seed(5)
    before = first_unet(8, 3, 0.3)
    torch.manual_seed(5)
    unet = UNet(Network(width=8, depth=3, norm="batch", dropout=0.3))
    assert list(unet.state_dict()) == list(before.state_dict())
    assert all(torch.equal(one, other) for one, other in zip(unet.parameters(), before.parameters(), strict=True))
    images = torch.rand(2, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    for training in (True, False):
        for each in (unet, before):
            each.to(memory_format=torch.channels_last).train(training)  # dropout draws in the order of memory
        torch.manual_seed(6)
        logits = unet(images)
        torch.manual_seed(6)
        expected = first_logits(before, images)
        if training:
            assert torch.allclose(logits, expected, rtol=0, atol=1e-6)
        else:
            assert torch.equal(logits, expected)


def first_logits(before: nn.ModuleDict, images: Tensor) -> Tensor:
    """Of the first U-Net of three levels."""
    down, upsample, up = (list(before[name].children()) for name in ("down", "upsample", "up"))
    one = down[0](images)
    two = down[1](nn.functional.max_pool2d(one, 2))
    x = down[2](nn.functional.max_pool2d(two, 2))
    x = up[0](torch.cat([upsample[0](x), two], 1))
    x = up[1](torch.cat([upsample[1](x), one], 1))
    logits: Tensor = before["last"](x)
    return logits


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_a_step_up_is_a_transposed_convolution(memory: torch.memory_format) -> None:
    """Outputs and all gradients of training are torch's own, in float64 to the last digits."""
    torch.manual_seed(3)
    upsample = Upsample(6, 4, 2, stride=2).double()
    x, skip = torch.randn(2, 6, 3, 5).double(), torch.randn(2, 3, 6, 10).double()
    found = []
    for training in (True, False):
        upsample.train(training).zero_grad()
        inputs = [one.clone(memory_format=memory).requires_grad_() for one in (x, skip)]
        both = upsample(*inputs)
        (both * torch.linspace(-1, 1, both.numel()).view(both.shape)).sum().backward()
        found.append([both, *(one.grad for one in (*inputs, *upsample.parameters()))])
    assert found[0][0].shape == (2, 7, 6, 10)
    for mine, theirs in zip(*found, strict=True):
        assert mine is not None
        assert torch.allclose(mine, theirs, rtol=0, atol=1e-12)


def test_a_plain_network_names_in_its_file_what_the_first_ones_named() -> None:
    plain = Network(width=8, depth=3, norm="batch", dropout=0.3)
    assert list(plain.given().items()) == [("width", 8), ("depth", 3), ("norm", "batch"), ("dropout", 0.3)]
    other = Network(encoder="resnet18", width=8, depth=3, norm="none", dropout=0.0, inserted=1)
    assert other.given() == {
        "encoder": "resnet18", "width": 8, "depth": 3, "norm": "none", "dropout": 0.0, "inserted": 1,
    }  # fmt: skip
    assert Network(**other.given()) == other


@pytest.mark.parametrize("depth", [2, 3, 6])
@pytest.mark.parametrize("encoder", ["resnet18", "resnet34"])
def test_with_an_encoder_logits_have_the_size_of_the_image(
    encoder: Literal["resnet18", "resnet34"], depth: int
) -> None:
    network = Network(encoder=encoder, width=8, depth=depth, norm="batch", dropout=0.0)
    images = torch.rand(2, 3, network.multiple * 2, network.multiple * 3)
    unet = UNet(network).eval()
    assert [level.shape[1] for level in unet.down(images)] == [8, 64, 64, 128, 256, 512][:depth]
    assert [images.shape[3] // level.shape[3] for level in unet.down(images)] == [2**level for level in range(depth)]
    assert unet(images).shape == (2, 1, network.multiple * 2, network.multiple * 3)


@pytest.mark.parametrize("norm", ["none", "batch", "group"])
@pytest.mark.parametrize("encoder", ["none", "resnet18"])
def test_inserted_blocks_change_no_output_and_no_other_first_weight(
    encoder: Literal["none", "resnet18"], norm: Literal["none", "batch", "group"]
) -> None:
    unets = []
    for inserted in (0, 2):
        torch.manual_seed(4)
        network = Network(encoder=encoder, width=8, depth=3, norm=norm, dropout=0.0, inserted=inserted)
        unets.append(UNet(network))
    plain, longer = unets
    weights = longer.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in plain.state_dict().items())
    assert len([module for module in longer.modules() if isinstance(module, Residual)]) == 2
    images = torch.rand(2, 3, 16, 16)
    for training in (True, False):
        one, other = (copy.deepcopy(unet).train(training)(images) for unet in unets)
        assert torch.equal(one, other)


def test_an_inserted_block_learns() -> None:
    block, x = Residual(8, "batch"), torch.randn(2, 8, 4, 4)
    optimizer = torch.optim.SGD(block.parameters(), 0.1)
    for _ in range(2):  # the first step moves the layer that was 0, the second all others
        (block(x) ** 2).sum().backward()
        before = [parameter.detach().clone() for parameter in block.parameters()]
        optimizer.step()
        optimizer.zero_grad()
    assert not any(torch.equal(one, now) for one, now in zip(before, block.parameters(), strict=True))
    assert not torch.equal(block(x), x)


def test_a_network_is_no_deeper_than_its_encoder() -> None:
    Network(encoder="resnet18", width=8, depth=6, norm="none", dropout=0.0)
    with pytest.raises(ValidationError, match="a ResNet has 5 levels below the first; give 6 or less"):
        Network(encoder="resnet18", width=8, depth=7, norm="none", dropout=0.0)


@pytest.mark.parametrize(
    "wrong",
    [{"width": 12}, {"width": 0}, {"depth": 1}, {"norm": "layer"}, {"dropout": 1.0}, {"heads": 8}, {"encoder": "vgg"}],
)
def test_impossible_networks_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Network(**({"width": 8, "depth": 3, "norm": "none", "dropout": 0.0} | wrong))  # type: ignore[arg-type]
