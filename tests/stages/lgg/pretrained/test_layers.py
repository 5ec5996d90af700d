"""Old layers that move slowly or not at all, and batch normalisation that stays frozen while the rest trains."""

from collections.abc import Collection

import pytest
import torch
from torch import nn

from stages.errors import BadParameters
from stages.lgg.pretrained.layers import FrozenBatchNorm2d, freeze, groups
from stages.lgg.unet.network import Network, UNet

DOWN = "down."


def unet(**changed: object) -> UNet:
    torch.manual_seed(1)
    values = {"width": 8, "depth": 2, "norm": "batch", "dropout": 0.0} | changed
    return UNet(Network(**values))  # type: ignore[arg-type]


def names(model: nn.Module, prefix: str) -> list[str]:
    return [name for name, _ in model.named_parameters() if name.startswith(prefix)]


def train_a_step(model: nn.Module, old: Collection[str], rate: float) -> None:
    optimizer = torch.optim.SGD([{"params": some, "lr": part} for part, some in groups(model, old, rate).items()])
    model.train()
    model(5 + torch.randn(4, 3, 8, 8)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("encoder", ["none", "resnet18"])
def test_frozen_layers_keep_every_bit_while_the_others_move(encoder: str) -> None:
    model = unet(encoder=encoder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_a_step(model, names(model, DOWN), rate=0)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert list(model.state_dict()) == list(before)
    assert changed == {name for name in before if not name.startswith(DOWN)}


def test_the_same_layers_move_where_they_are_not_frozen() -> None:
    """So that the test above can fail."""
    model = unet()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_a_step(model, names(model, DOWN), rate=0.1)
    assert not any(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_train_does_not_undo_what_is_frozen() -> None:
    model = unet()
    freeze(model, names(model, DOWN))
    model.train()
    norms = {name: module for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert {name for name, module in norms.items() if not module.training} == {
        name for name in norms if name.startswith(DOWN)
    }
    assert {type(norms[name]) for name in norms if name.startswith(DOWN)} == {FrozenBatchNorm2d}
    images = torch.randn(4, 3, 8, 8)
    levels = model.down(images)
    assert all(torch.equal(one, two) for one, two in zip(levels, model.eval().down(images), strict=True))


def test_freezing_changes_no_output() -> None:
    model, images = unet().eval(), torch.randn(2, 3, 8, 8)
    before = model(images)
    freeze(model, names(model, ""))
    assert torch.equal(model.eval()(images), before)


def test_each_parameter_stands_in_one_group() -> None:
    model = unet()
    old = names(model, DOWN)
    found = groups(model, old, 0.1)
    assert list(found) == [0.1, 1.0]
    assert sum(map(len, found.values())) == len(list(model.parameters()))
    assert {id(one) for one in found[0.1]} == {id(value) for name, value in model.named_parameters() if name in old}
    assert list(groups(unet(), [], 0.1)) == [1.0]
    assert list(groups(unet(), [], 0)) == [1.0]
    assert list(groups(unet(), old, 1)) == [1.0]


def test_something_must_be_left_to_train() -> None:
    model = unet()
    with pytest.raises(BadParameters, match=r"^lgg\.train\.start\.rate is 0: no layer is left to train"):
        groups(model, names(model, ""), 0)
    longer = unet(inserted=1)
    [left] = groups(longer, [name for name in names(longer, "") if not name.startswith("inserted")], 0).values()
    assert len(left) == len(names(longer, "inserted")) == 5
