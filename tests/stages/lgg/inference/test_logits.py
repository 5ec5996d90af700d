"""Logits of a stack: the same by any batch, by volume as in training, and of both mirror images."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from stages.lgg.inference.logits import logits_of
from stages.lgg.inference.threads import side_by_side
from stages.lgg.scans.intensity import Scaling, brightness_of_each
from stages.lgg.unet.batches import Slices, as_brightness, batch, centred
from stages.lgg.unet.checkpoint import Model
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.models import model

CPU = torch.device("cpu")
NETWORK = Network(width=8, depth=2, norm="batch", dropout=0.0)


@pytest.fixture
def stack() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)


def trained(scaling: Scaling) -> Model:
    torch.manual_seed(1)
    return model(UNet(NETWORK), scaling=scaling)


@pytest.mark.parametrize("scaling", ["slice", "volume"])
def test_they_are_what_training_sees(stack: NDArray[np.uint8], scaling: Scaling) -> None:
    one, volumes = trained(scaling), np.zeros(5, np.int64)
    known = as_brightness(brightness_of_each(stack, np.arange(5), volumes), CPU) if scaling == "volume" else None
    masks = torch.zeros(5, 16, 16, dtype=torch.uint8)
    slices = Slices(torch.from_numpy(stack), masks, torch.from_numpy(volumes), known)
    chosen = torch.arange(5)
    with torch.no_grad():
        seen = one.unet(centred(slices, chosen, batch(slices, chosen)[0]))[:, 0]
    for size in (1, 2, 5):
        torch.testing.assert_close(logits_of(one, stack, size, "float32"), seen, rtol=1e-4, atol=1e-5)


def test_some_slices_of_a_volume_are_scaled_by_all_of_it(stack: NDArray[np.uint8]) -> None:
    stack[0] //= 4
    one = trained("volume")
    whole = logits_of(one, stack, 5, "float32")
    torch.testing.assert_close(logits_of(one, stack[:1], 1, "float32", volume=stack), whole[:1], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits_of(one, stack[:1], 1, "float32"), whole[:1], rtol=1e-2)


def test_both_mirror_images_count_alike(stack: NDArray[np.uint8]) -> None:
    one = trained("slice")
    plain, mirrored = logits_of(one, stack, 5, "float32"), logits_of(one, stack[:, :, ::-1], 5, "float32").flip(2)
    both = logits_of(one, stack, 5, "float32", flip=True)
    assert not torch.allclose(plain, mirrored)
    torch.testing.assert_close(both, (plain + mirrored) / 2, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both, logits_of(one, stack[:, :, ::-1], 5, "float32", flip=True).flip(2))


@pytest.mark.parametrize("flip", [False, True])
def test_any_number_of_threads_gives_the_same_bits(stack: NDArray[np.uint8], flip: bool) -> None:
    one = trained("volume")
    (alone,) = side_by_side(lambda size: logits_of(one, stack, size, "float32", flip=flip), [2], 1)
    for threads in (2, 3):
        assert torch.equal(logits_of(one, stack, 2, "float32", flip=flip, threads=threads), alone)


def test_bfloat16_is_near(stack: NDArray[np.uint8]) -> None:
    one = trained("slice")
    short = logits_of(one, stack, 5, "bfloat16")
    assert short.dtype == torch.float32
    torch.testing.assert_close(short, logits_of(one, stack, 5, "float32"), rtol=0.1, atol=0.05)
