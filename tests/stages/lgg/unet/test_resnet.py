"""That the way down is torchvision's ResNet, by names, weights and outputs."""

from typing import Literal

import pytest
import torch
from torchvision.models import get_model
from torchvision.models.feature_extraction import create_feature_extractor

from stages.lgg.unet.resnet import ResNet

NODES = ["relu", "layer1", "layer2", "layer3", "layer4"]


@pytest.mark.parametrize("levels", [1, 2, 5])
@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_levels_are_torchvisions(name: Literal["resnet18", "resnet34"], levels: int) -> None:
    whole = get_model(name, weights=None).eval()
    resnet = ResNet(name, levels).eval()
    unexpected = resnet.load_state_dict(whole.state_dict(), strict=False)
    assert unexpected.missing_keys == []
    assert {key.split(".")[0] for key in unexpected.unexpected_keys} == {"fc", *NODES[levels:]}
    images = torch.rand(2, 3, 32, 32)
    theirs = create_feature_extractor(whole, {node: node for node in NODES[:levels]})((images - 0.449) / 0.226)
    ours = resnet(images)
    assert len(ours) == levels
    for level, node in zip(ours, NODES, strict=False):
        assert torch.equal(level, theirs[node])
