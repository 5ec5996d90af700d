"""Networks vote by the mean of their logits; how unsure they are is an entropy, or a deviation."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from stages.errors import BadInput
from stages.lgg.inference.found import find
from stages.lgg.inference.logits import logits_of
from stages.lgg.inference.members import Members, Predicted, load_members, predict
from stages.lgg.inference.reading import Read, read
from tests.stages.lgg import labs


def scan(folder: Path) -> Read:
    """Of 16 × 16 px, as the networks have them."""
    return read(find([labs.slices(folder, "a", labs.pixels(shape=(3, 16, 16)))])[0])


def said(members: Members, content: Read, largest: bool = False) -> Predicted:
    return predict(
        members,
        content,
        threshold=0.5,
        flip=False,
        largest=largest,
        batch=2,
        precision="float32",
        uncertainty=not largest,
    )


def test_several_vote(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        labs.network(tmp_path / f"models/{seed}.pt", seed)
    content, members = scan(tmp_path / "scan"), load_members(tmp_path / "models", 1, "float32")
    logits = torch.stack([logits_of(model, content.pixels, 2, "float32") for model in members.models])
    found = said(members, content)
    np.testing.assert_allclose(found.probabilities, logits.mean(0).sigmoid(), atol=1e-6)
    assert found.uncertainty is not None
    np.testing.assert_allclose(found.uncertainty, np.std(logits.sigmoid().numpy(), axis=0), atol=1e-6)
    assert np.array_equal(found.mask, found.probabilities >= 0.5)
    assert sorted(members.hashes) == ["1.pt", "2.pt", "3.pt"]


def test_one_tells_its_entropy(tmp_path: Path) -> None:
    labs.network(tmp_path / "best.pt", 2)
    labs.network(tmp_path / "last.pt")
    members = load_members(tmp_path, 1, "float32")
    assert list(members.hashes) == ["last.pt"]
    found = said(members, scan(tmp_path / "scan"))
    p = found.probabilities.astype(float)
    assert found.uncertainty is not None
    np.testing.assert_allclose(found.uncertainty, -p * np.log2(p) - (1 - p) * np.log2(1 - p), atol=1e-5)


def test_the_largest_piece_alone(tmp_path: Path) -> None:
    members, content = load_members(labs.network(tmp_path / "m.pt"), 1, "float32"), scan(tmp_path / "scan")
    mask, _, unsure = said(members, content, largest=True)
    assert unsure is None
    assert ndimage.label(mask, np.ones((3, 3, 3)))[1] == 1
    assert not (mask & ~said(members, content).mask).any()


def test_networks_that_cannot_vote(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="no network there"):
        load_members(tmp_path, 1, "float32")
    labs.network(tmp_path / "1.pt")
    labs.network(tmp_path / "2.pt", side=32)
    with pytest.raises(BadInput, match=r"2\.pt is for slices of 32 px, and .*1\.pt for 16 px"):
        load_members(tmp_path, 1, "float32")
