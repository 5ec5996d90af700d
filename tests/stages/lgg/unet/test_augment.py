import math

import pytest
import torch
from torch import Generator, Tensor

from stages.lgg.unet.augment import Augmentation, augment, jitter, scale_intensity

NOTHING = Augmentation(scale=0, rotation_degrees=0, flip=0)


def generator(seed: int = 1) -> Generator:
    return Generator().manual_seed(seed)


def blobs(count: int, size: int = 64) -> tuple[Tensor, Tensor]:
    """The same bright disc, off the centre to the lower right, in every image and mask."""
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    disc = ((y - 36) ** 2 + (x - 48) ** 2 < 36).float()
    return disc.expand(count, 3, size, size).clone(), disc.expand(count, 1, size, size).clone()


def places(masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of each disc the distance of its centre from the image's, its angle (degrees, downwards) and its area."""
    size = masks.shape[-1]
    middle = torch.arange(size) - (size - 1) / 2
    area = masks.sum((1, 2, 3))
    y = (masks.sum((1, 3)) * middle).sum(1) / area
    x = (masks.sum((1, 2)) * middle).sum(1) / area
    return (x**2 + y**2).sqrt(), torch.rad2deg(torch.atan2(y, x)), area


def test_scale_intensity_by_hand() -> None:
    images = torch.tensor([[10, 20], [30, 60]], dtype=torch.uint8).reshape(1, 1, 2, 2).repeat(2, 3, 1, 1)
    images[1] = 7
    images[0, 2, 0, 0] = 110  # the range is that of all channels
    scaled = scale_intensity(images)
    assert scaled.dtype == torch.float32
    assert scaled[0, 0].flatten().tolist() == pytest.approx([0, 0.1, 0.2, 0.5], abs=1e-6)
    assert scaled[0, 2, 0, 0].item() == pytest.approx(100 / (100 + 1e-5))
    assert scaled[1].abs().max() == 0


def test_nothing_is_nothing() -> None:
    images, masks = torch.rand(4, 3, 16, 16), (torch.rand(4, 1, 16, 16) < 0.5).float()
    moved, moved_masks = augment(images, masks, NOTHING, generator())
    torch.testing.assert_close(moved, images, atol=1e-5, rtol=0)
    assert torch.equal(moved_masks, masks)


def test_flip_mirrors_left_and_right() -> None:
    images, masks = torch.rand(4, 3, 16, 16), (torch.rand(4, 1, 16, 16) < 0.5).float()
    moved, moved_masks = augment(images, masks, Augmentation(scale=0, rotation_degrees=0, flip=1), generator())
    torch.testing.assert_close(moved, images.flip(3), atol=1e-5, rtol=0)
    assert torch.equal(moved_masks, masks.flip(3))


def test_half_of_the_items_are_flipped() -> None:
    _, masks = augment(*blobs(2000, 64), Augmentation(scale=0, rotation_degrees=0, flip=0.5), generator())
    left = (masks[..., :32].sum((1, 2, 3)) > 0).float().mean().item()
    assert left == pytest.approx(0.5, abs=0.05)  # 4.5 standard deviations


def test_rotation_keeps_the_distance_and_covers_both_sides() -> None:
    images, masks = blobs(500)
    before, angle, _ = places(masks[:1])
    _, moved = augment(images, masks, Augmentation(scale=0, rotation_degrees=15, flip=0), generator())
    after, angles, _ = places(moved)
    turned = angles - angle
    assert (after - before).abs().max() < 0.5
    assert -15.5 < turned.min() < -14
    assert 14 < turned.max() < 15.5
    assert turned.mean().abs() < 2


def test_scale_moves_the_distance_and_the_area() -> None:
    images, masks = blobs(500)
    before, _, size = places(masks[:1])
    _, moved = augment(images, masks, Augmentation(scale=0.2, rotation_degrees=0, flip=0), generator())
    after, angles, area = places(moved)
    factor = after / before
    assert factor.min().item() == pytest.approx(0.8, abs=0.03)
    assert factor.max().item() == pytest.approx(1.2, abs=0.03)
    assert (area / size - factor**2).abs().max() < 0.15
    assert (angles - places(masks[:1])[1]).abs().max() < 2


def test_images_and_masks_move_together_and_masks_stay_binary() -> None:
    images, masks = blobs(100)
    moved, moved_masks = augment(images, masks, Augmentation(scale=0.2, rotation_degrees=90, flip=0.5), generator())
    assert set(moved_masks.unique().tolist()) == {0.0, 1.0}
    disagree = ((moved[:, :1] >= 0.5) != (moved_masks == 1)).float().sum((1, 2, 3))
    assert disagree.max() <= 0.1 * math.pi * 36  # only along the rim


def test_the_same_generator_gives_the_same_bits_and_another_other_ones() -> None:
    images, masks = blobs(8)
    some = Augmentation(scale=0.05, rotation_degrees=15, flip=0.5)
    one, _ = augment(images, masks, some, generator(1))
    again, _ = augment(images, masks, some, generator(1))
    other, _ = augment(images, masks, some, generator(2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


def test_intensities_change_by_channel_within_their_range() -> None:
    images = torch.stack([torch.zeros(500, 3, 2, 2), torch.ones(500, 3, 2, 2)], dim=-1).flatten(3)  # 0, 1, 0, 1 …
    changed = jitter(images, Augmentation(scale=0, rotation_degrees=0, flip=0, intensity=0.3), generator())
    shift, gain = changed[..., 0, 0], changed[..., 0, 1] - changed[..., 0, 0]  # of a channel, from its 0 and its 1
    torch.testing.assert_close(changed, images * gain[..., None, None] + shift[..., None, None])
    for found, middle in ((shift, 0.0), (gain, 1.0)):
        assert (found - middle).abs().max() <= 0.3 + 1e-6
        assert found.mean().item() == pytest.approx(middle, abs=0.02)
        assert found.std().item() == pytest.approx(0.3 / math.sqrt(3), abs=0.01)  # of a uniform draw
    assert not torch.equal(gain[:, 0], gain[:, 1])


def test_where_no_intensity_changes_nothing_is_drawn() -> None:
    drawn, images = generator(), torch.rand(2, 3, 4, 4)
    before = drawn.get_state()
    assert jitter(images, NOTHING, drawn) is images
    assert torch.equal(drawn.get_state(), before)
