"""Which slices an epoch draws, what a batch of them is, and that draws leave torch's own generator alone."""

import threading
from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stages.lgg.unet import batches
from stages.lgg.unet.batches import (
    Slices,
    batch,
    centred,
    computed_in,
    draw,
    fits,
    make_exact,
    mapped,
    seeded,
    steps_per_epoch,
    taken,
)

CPU = torch.device("cpu")


def test_slices_are_drawn_by_weight() -> None:
    weights = np.array([0.5, 0.0, 0.3, 0.2])
    cumulative = torch.from_numpy(np.cumsum(np.tile(weights, 5000) / 5000))
    drawn = draw(cumulative, torch.Generator().manual_seed(3)).numpy() % 4
    share = np.bincount(drawn, minlength=4) / len(drawn)
    assert len(drawn) == 20_000
    assert share[1] == 0
    assert share == pytest.approx(weights, abs=0.015)  # more than four standard deviations


def test_a_batch_by_hand() -> None:
    images = torch.tensor([0, 50, 100, 200], dtype=torch.uint8).reshape(1, 2, 2, 1).repeat(2, 1, 1, 3)
    images[1] = 7  # a slice of one grey
    masks = torch.tensor([[[0, 1], [1, 0]], [[0, 0], [0, 0]]], dtype=torch.uint8)
    scaled, target = batch(Slices(images, masks, torch.zeros(2, dtype=torch.int64)), torch.tensor([0, 0, 1]))
    assert scaled.shape == (3, 3, 2, 2)
    for channel in range(3):
        assert scaled[0, channel].flatten().tolist() == pytest.approx([0, 0.25, 0.5, 1], abs=1e-6)
    assert scaled[2].abs().max() == 0
    assert target.tolist() == [[[[0, 1], [1, 0]]], [[[0, 1], [1, 0]]], [[[0, 0], [0, 0]]]]


def test_a_batch_scaled_by_volume_by_hand() -> None:
    """Black is 0 until all is moved, and then as far below the mean as it was."""
    images = torch.tensor([0, 50, 100, 200], dtype=torch.uint8).reshape(1, 2, 2, 1).repeat(2, 1, 1, 3)
    masks = torch.zeros(2, 2, 2, dtype=torch.uint8)
    brightness = torch.tensor([[[0.0, 0, 0], [1, 1, 1]], [[100, 50, 0], [50, 25, 1]]])
    slices = Slices(images, masks, torch.tensor([0, 1]), brightness)
    chosen = torch.tensor([1, 0])
    scaled = batch(slices, chosen)[0]
    assert scaled[0, 0].flatten().tolist() == [0, 1, 2, 4]
    moved = centred(slices, chosen, scaled)
    assert moved[0, 0].flatten().tolist() == [-2, -1, 0, 2]
    assert moved[0, 1].flatten().tolist() == [-2, 0, 2, 6]
    assert torch.equal(moved[1], images[0].permute(2, 0, 1).float())
    plain = slices._replace(brightness=None)
    assert centred(plain, chosen, scaled) is scaled


@pytest.mark.parametrize(("slices", "size", "steps"), [(8, 4, 2), (9, 4, 3), (1, 4, 1)])
def test_the_last_batch_may_be_shorter(slices: int, size: int, steps: int) -> None:
    assert steps_per_epoch(slices, size) == steps == len(torch.arange(slices).split(size))


def test_each_epoch_of_each_seed_draws_its_own() -> None:
    before = torch.get_rng_state()
    drawn = []
    for seed, epoch in ((1, 0), (1, 0), (1, 1), (2, 0)):
        with seeded(seed, epoch, CPU) as generator:
            drawn.append((torch.rand(1, generator=generator).item(), torch.rand(1).item()))
    assert drawn[0] == drawn[1]
    assert len({value for pair in drawn for value in pair}) == 6
    assert torch.equal(torch.get_rng_state(), before)


@pytest.fixture(scope="module")
def on_both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Slices, Slices]:
    """The same nine slices on the device, and in files that hold twelve."""
    draw = np.random.default_rng(4)
    images = draw.integers(0, 256, (12, 4, 4, 3), dtype=np.uint8)
    masks = draw.integers(0, 2, (12, 4, 4), dtype=np.uint8)
    rows = draw.permutation(12)[:9]
    folder = tmp_path_factory.mktemp("files")
    held = []
    for name, array in (("images", images), ("masks", masks)):
        np.save(folder / f"{name}.npy", array)
        held.append(mapped(np.load(folder / f"{name}.npy", mmap_mode="r")))
    volumes = torch.zeros(9, dtype=torch.int64)
    device = Slices(torch.from_numpy(images[rows]), torch.from_numpy(masks[rows]), volumes)
    return device, Slices(held[0], held[1], volumes, rows=torch.from_numpy(rows))


@given(parts=st.lists(st.lists(st.integers(0, 8), max_size=4), max_size=9))
def test_out_of_files_come_the_same_batches(on_both: tuple[Slices, Slices], parts: list[list[int]]) -> None:
    """Empty ones too, which a process has that trains with others."""
    wanted = [torch.tensor(part, dtype=torch.int64) for part in parts]
    found = [list(taken(slices, wanted)) for slices in on_both]
    assert len(found[0]) == len(found[1]) == len(parts)
    for device, host in zip(*found, strict=True):
        for one, other in zip(device, host, strict=True):
            assert one.dtype == other.dtype == torch.uint8
            assert torch.equal(one, other)


def test_a_few_batches_are_taken_ahead(on_both: tuple[Slices, Slices], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counted(slices: Slices, rows: torch.Tensor, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(len(rows))
        return slices.images[rows].to(device), slices.masks[rows]

    monkeypatch.setattr(batches, "_fetched", counted)
    before = threading.active_count()
    stream = taken(on_both[1], [torch.tensor([number]) for number in range(9)])
    assert len(list(islice(stream, 2))) == 2
    stream.close()  # type: ignore[attr-defined]  # a training that was broken off
    assert 2 <= len(asked) <= 4
    assert threading.active_count() == before


def test_what_fills_half_of_the_memory_stays_in_its_file() -> None:
    assert fits(10**6, CPU)
    assert not fits(2**50, CPU)


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"avx512_bf16": False, "amx_bf16": True}, "bfloat16"),
        ({"architecture": "aarch64", "bf16": True}, "bfloat16"),
    ],
)
def test_auto_is_bfloat16_where_the_processor_computes_in_it(
    known: dict[str, object], found: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    assert computed_in("auto", CPU) == found
    assert computed_in("bfloat16", CPU) == "bfloat16"
    make_exact(1, "auto")
    assert not capsys.readouterr().err
    make_exact(1, "bfloat16")
    assert ("only imitates bfloat16" in capsys.readouterr().err) == (found == "float32")
