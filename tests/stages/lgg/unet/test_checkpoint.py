import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save

from stages.errors import BadInput
from stages.lgg.unet.checkpoint import load_model, load_tensors, save_safetensors, save_tensors, save_unet
from stages.lgg.unet.network import Network, UNet
from tests.stages.lgg.models import about, model

NETWORK = Network(width=8, depth=2, norm="batch", dropout=0.1)


class Bomb:
    def __init__(self, fuse: Path) -> None:
        self.fuse = fuse

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (str(self.fuse), "w"))


def test_a_network_comes_back_with_its_architecture_ready_to_predict(tmp_path: Path) -> None:
    unet = UNet(NETWORK).eval()
    known = about(metrics={"validation/loss": 0.5, "validation/dice_per_volume_mean": None})
    save_unet(tmp_path / "last.pt", NETWORK, unet.state_dict(), 3, known)
    back, said, epoch = load_model(tmp_path / "last.pt")
    assert (said, epoch) == (known, 3)
    image = torch.rand(1, 3, 8, 8)
    assert back.network == NETWORK
    assert not back.training
    assert torch.equal(back(image), unet(image))


def test_equal_values_are_equal_bytes_whatever_the_file_is_called(tmp_path: Path) -> None:
    values = {"a": torch.arange(5.0), "b": 1}
    save_tensors(values, tmp_path / "one.pt")
    save_tensors(values, tmp_path / "another.pt")
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "another.pt").read_bytes()
    assert len(list(tmp_path.iterdir())) == 2


def test_channels_last_weights_are_written_as_any_others(tmp_path: Path) -> None:
    unet = UNet(NETWORK)
    save_unet(tmp_path / "a.pt", NETWORK, unet.state_dict(), 1, about())
    save_unet(tmp_path / "b.pt", NETWORK, unet.to(memory_format=torch.channels_last).state_dict(), 1, about())
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    for name in ("plain.pt", "torch.pt"):
        path, fuse = tmp_path / name, tmp_path / f"{name}.lit"
        if name == "plain.pt":
            path.write_bytes(pickle.dumps(Bomb(fuse), protocol=2))
        else:
            torch.save({"weights": Bomb(fuse)}, path)
        with pytest.raises(BadInput, match="not a file of tensors"):
            load_tensors(path)
        assert not fuse.exists()


def test_damaged_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    save_unet(tmp_path / "last.pt", NETWORK, UNet(NETWORK).state_dict(), 3, about())
    whole = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "short.pt").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pt").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pt")
    save_tensors({"network": {"width": 8}, "weights": {}, "about": {}}, tmp_path / "foreign.pt")
    save_tensors({"network": NETWORK.given(), "weights": UNet(NETWORK).state_dict()}, tmp_path / "silent.pt")
    other = Network(width=16, depth=2, norm="batch", dropout=0.1)
    save_unet(tmp_path / "misfit.pt", other, UNet(NETWORK).state_dict(), 3, about())
    for name in ("short", "empty", "list", "foreign", "silent", "misfit", "missing"):
        with pytest.raises(BadInput) as caught:
            load_model(tmp_path / f"{name}.pt")
        message = str(caught.value)
        assert message.startswith(f"{tmp_path / name}.pt: ")
        assert message.endswith("run dvc repro lgg-train")
        assert "\n" not in message


def test_safetensors_hold_the_same_network_and_the_same_bytes(tmp_path: Path) -> None:
    one = model(UNet(NETWORK), metrics={"validation/loss": 0.5, "validation/dice_per_volume_mean": None})
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    save_safetensors(first, one)
    back = load_model(first)
    assert (back.about, back.epoch, back.unet.network) == (one.about, one.epoch, NETWORK)
    assert not back.unet.training
    image = torch.rand(1, 3, 8, 8)
    assert torch.equal(back.unet(image), one.unet(image))
    save_safetensors(second, back)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("content", [b"", b"x" * 100, save({"a": torch.zeros(1)}), save({}, {"gliaflow": "{}"})])
def test_other_safetensors_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=r"a\.safetensors: not "):
        load_model(path)


def test_safetensors_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no such file; run dvc repro lgg-export"):
        load_model(tmp_path / "a.safetensors")
