"""Weights of another training: by name and shape, from either kind of file, and what does not fit is named."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import get_model

from stages.errors import BadInput
from stages.lgg.pretrained.weights import fit_channels, read
from stages.lgg.unet.checkpoint import load_model, save_tensors, save_unet
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.models import about

PLAIN = Network(width=8, depth=2, norm="batch", dropout=0.1)
RESNET = Network(encoder="resnet18", width=8, depth=3, norm="group", dropout=0.0)
LONGER = Network(width=8, depth=2, norm="batch", dropout=0.1, inserted=1)


def state(network: Network, seed: int = 1) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    return {name: value.clone() for name, value in UNet(network).state_dict().items()}


def saved(folder: Path, network: Network, **changed: Tensor | None) -> Path:
    weights = {name: value for name, value in (state(network) | changed).items() if value is not None}
    save_unet(folder / "last.pt", network, weights, 1, about())
    return folder / "last.pt"


def torchvisions(folder: Path, changed: dict[str, Any] | None = None, name: str = "resnet18") -> Path:
    """A file as torchvision offers them, of first weights."""
    torch.manual_seed(2)
    torch.save(get_model(name, weights=None).state_dict() | (changed or {}), folder / "resnet.pth")
    return folder / "resnet.pth"


@pytest.mark.parametrize("network", [PLAIN, RESNET, LONGER], ids=["plain", "resnet", "inserted"])
def test_a_checkpoint_fills_its_own_network(network: Network, tmp_path: Path) -> None:
    found = read(saved(tmp_path, network), network, "all")
    assert found.weights.keys() == state(network).keys()
    assert (found.unused, found.new) == ([], [])
    unet = UNet(network).eval()
    unet.load_state_dict(found.weights)
    images = torch.rand(1, 3, 8, 8)
    assert torch.equal(unet(images), load_model(tmp_path / "last.pt").unet(images))


def test_the_way_down_alone(tmp_path: Path) -> None:
    found = read(saved(tmp_path, PLAIN), PLAIN, "encoder")
    assert set(found.weights) == {name for name in state(PLAIN) if name.startswith("down.")}
    assert found.unused == found.new == [name for name in state(PLAIN) if not name.startswith("down.")]
    assert found.report().splitlines()[0] == f"{len(found.weights)} tensors are loaded"
    assert "last.weight" in found.report().splitlines()[1]
    assert "last.weight" in found.report().splitlines()[2]


def test_blocks_may_be_inserted_into_a_network_that_has_none(tmp_path: Path) -> None:
    found = read(saved(tmp_path, PLAIN), LONGER, "all")
    assert found.new == [name for name in state(LONGER) if name.startswith("inserted.")]
    before, after = UNet(PLAIN).eval(), UNet(LONGER).eval()
    before.load_state_dict(state(PLAIN))
    after.load_state_dict(after.state_dict() | found.weights)
    images = torch.rand(2, 3, 8, 8)
    assert torch.equal(before(images), after(images))


def test_torchvisions_weights_fill_the_encoder(tmp_path: Path) -> None:
    path = torchvisions(tmp_path)
    theirs = torch.load(path, weights_only=True)
    found = read(path, RESNET, "all")
    used = {name: value for name, value in theirs.items() if not name.startswith(("layer2", "layer3", "layer4", "fc"))}
    assert found.weights.keys() == {f"down.resnet.{name}" for name in used}
    assert all(torch.equal(found.weights[f"down.resnet.{name}"], value) for name, value in used.items())
    assert {"fc.weight", "fc.bias", "layer2.0.conv1.weight"} < set(found.unused)
    assert {"down.first.0.weight", "up.0.0.weight", "last.bias"} < set(found.new)
    assert len(found.weights) + len(found.unused) == len(theirs)


def test_files_without_the_counter_of_batches_are_read(tmp_path: Path) -> None:
    torch.manual_seed(2)
    weights = get_model("resnet18", weights=None).state_dict()
    torch.save({name: value for name, value in weights.items() if "num_batches" not in name}, tmp_path / "old.pth")
    found = read(tmp_path / "old.pth", RESNET, "all")
    lacking = [name for name in found.new if name.startswith("down.resnet.")]
    assert len(lacking) == 1 + 2 * 2  # of the first convolution, and of two blocks in layer1
    assert all(name.endswith(".num_batches_tracked") for name in lacking)


def test_a_first_convolution_by_hand() -> None:
    kernel = torch.tensor([1.0, 2.0, 6.0]).reshape(1, 3, 1, 1)
    assert fit_channels(kernel, 3) is kernel
    assert fit_channels(kernel, 1).flatten().tolist() == [9]
    assert fit_channels(kernel, 4).flatten().tolist() == [2.25] * 4
    assert fit_channels(torch.full((1, 1, 1, 1), 6.0), 3).flatten().tolist() == [2] * 3
    grey = torch.rand(1, 1, 9, 9)
    before = nn.functional.conv2d(grey.repeat(1, 3, 1, 1), kernel)
    assert torch.allclose(nn.functional.conv2d(grey.repeat(1, 4, 1, 1), fit_channels(kernel, 4)), before)


def test_weights_for_grey_images_are_brought_to_three_channels(tmp_path: Path) -> None:
    grey = torch.rand(64, 1, 7, 7)
    found = read(torchvisions(tmp_path, {"conv1.weight": grey}), RESNET, "all")
    assert torch.allclose(found.weights["down.resnet.conv1.weight"], grey.repeat(1, 3, 1, 1) / 3)


def test_what_is_missing_or_unexpected_or_of_another_shape_is_named(tmp_path: Path) -> None:
    changed = {"down.0.0.weight": None, "last.bias": torch.zeros(2), "last.wieght": torch.zeros(1)}
    with pytest.raises(BadInput) as caught:
        read(saved(tmp_path, PLAIN, **changed), PLAIN, "all")
    path, problems = str(caught.value).split(": does not fit lgg.train.network: ")
    assert path == str(tmp_path / "last.pt")
    assert problems == (
        "missing: down.0.0.weight; of another shape: last.bias (2 in the file, 1 here); unexpected: last.wieght; "
        "change one of them"
    )


def test_another_network_is_refused_on_one_line(tmp_path: Path) -> None:
    wider = Network(width=16, depth=2, norm="batch", dropout=0.1)
    with pytest.raises(
        BadInput, match=r"of another shape: down\.0\.0\.weight \(16×3×3×3 in the file, 8×3×3×3 here\)"
    ) as caught:
        read(saved(tmp_path, wider), PLAIN, "all")
    [message] = str(caught.value).splitlines()
    assert re.search(r" and \d+ more; change one of them$", message)
    with pytest.raises(BadInput, match=r"missing: down\.resnet\.layer1\.2\.conv1\.weight"):
        read(torchvisions(tmp_path), Network(encoder="resnet34", width=8, depth=3, norm="none", dropout=0.0), "all")


@pytest.mark.parametrize(
    ("network", "advice"),
    [
        (PLAIN, r"put a checkpoint of lgg-train \(last\.pt\) there, or set lgg\.train\.start\.weights to none$"),
        (RESNET, r"put torchvision's resnet18-f37072fd\.pth \(ResNet18_Weights\.IMAGENET1K_V1\) there, or set"),
        (
            Network(encoder="resnet34", width=8, depth=3, norm="none", dropout=0.0),
            r"put torchvision's resnet34-b627a593\.pth \(ResNet34_Weights\.IMAGENET1K_V1\) there, or set",
        ),
    ],
)
def test_a_missing_file_says_which_one_to_put_there(network: Network, advice: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=advice) as caught:
        read(tmp_path / "weights.pth", network, "all")
    assert str(caught.value).startswith(f"{tmp_path / 'weights.pth'}: no such file; ")
    assert "\n" not in str(caught.value)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"weights of a ResNet need lgg\.train\.network\.encoder$"):
        read(torchvisions(tmp_path), PLAIN, "all")
    save_tensors({"epoch": 3, "state_dict": {}}, tmp_path / "other.pt")
    with pytest.raises(BadInput, match=r"neither a checkpoint of lgg-train nor weights by name: epoch, state_dict$"):
        read(tmp_path / "other.pt", RESNET, "all")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(BadInput, match=r"text\.pt: not a file of tensors .*; change lgg\.train\.start\.weights$"):
        read(tmp_path / "text.pt", RESNET, "all")
