"""What is hidden, what an error over it is by hand, and what is handed on."""

import pytest
import torch

from stages.lgg.pretrained.reconstruction import hidden_error, hide, learned, painter
from stages.lgg.unet.network import Network, UNet

NETWORK = Network(width=8, depth=2, norm="batch", dropout=0.0)


def test_whole_blocks_of_all_channels_are_hidden_and_nothing_else_changes() -> None:
    images = 1 + torch.rand(50, 3, 16, 24)
    seen, hidden = hide(images, 0.3, torch.Generator().manual_seed(1))
    assert hidden.shape == (50, 1, 16, 24)
    blocks = hidden.reshape(50, 2, 8, 3, 8)
    assert torch.equal(blocks, blocks[:, :, :1, :, :1].expand_as(blocks))
    assert hidden.mean().item() == pytest.approx(0.3, abs=0.08)  # 300 blocks: three standard deviations
    where = hidden.bool().expand_as(images)
    assert seen[where].abs().max() == 0
    assert torch.equal(seen[~where], images[~where])


def test_blocks_are_cut_at_the_border() -> None:
    _, hidden = hide(torch.rand(200, 3, 12, 12), 0.5, torch.Generator().manual_seed(1))
    assert hidden.shape == (200, 1, 12, 12)
    assert torch.equal(hidden[..., 8:, :], hidden[..., 8:9, :].expand(-1, -1, 4, -1))
    assert 0 < hidden.mean() < 1


def test_the_error_by_hand() -> None:
    images, painted = torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2)
    painted[0, :, 0, 0] = torch.tensor([1.0, 2.0, 2.0])  # hidden: 1 + 4 + 4
    painted[0, :, 1, 1] = 100  # seen
    hidden = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).reshape(1, 1, 2, 2)
    assert hidden_error(painted, images, hidden).item() == pytest.approx(9 / 6)
    assert hidden_error(painted, images, torch.zeros(1, 1, 2, 2)).item() == 0


def test_a_painter_gives_images_and_shares_no_weight() -> None:
    unet = UNet(NETWORK).eval()
    copied = painter(unet)
    assert copied(torch.rand(2, 3, 8, 8)).shape == (2, 3, 8, 8)
    assert unet(torch.rand(2, 3, 8, 8)).shape == (2, 1, 8, 8)
    assert not {id(one) for one in unet.parameters()} & {id(one) for one in copied.parameters()}
    handed_on = learned(copied)
    assert set(unet.state_dict()) - set(handed_on) == {"last.weight", "last.bias"}
    assert all(torch.equal(value, unet.state_dict()[name]) for name, value in handed_on.items())
