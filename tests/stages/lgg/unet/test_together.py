"""Two processes train as one does: the same loss curve and the same weights, within rounding."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from stages.lgg.unet.checkpoint import load_model
from stages.lgg.unet.losses import segmentation_loss
from stages.lgg.unet.together import ALONE, Together
from tests.stages.lgg import test_train
from tests.support.patience import PATIENCE

REPOSITORY = Path(__file__).parents[4]


@pytest.mark.parametrize(("count", "size"), [(16, 2), (5, 2), (1, 2), (0, 3), (7, 4)])
def test_parts_are_disjoint_and_complete(count: int, size: int) -> None:
    parts = [list(range(count))[Together(rank, size).part(count)] for rank in range(size)]
    assert [one for part in parts for one in part] == list(range(count))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_alone_nothing_changes() -> None:
    values, network = torch.ones(3), nn.Sequential(nn.BatchNorm2d(3))
    assert ALONE.total(values) is values
    ALONE.share_moments(network)
    assert type(network[0]) is nn.BatchNorm2d


PARTS = """
import sys, torch
from torch import nn
from stages.lgg.unet.losses import segmentation_loss
from stages.lgg.unet.together import joined

with joined() as (together, _):
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 1, 1))
    images, masks = torch.rand(5, 3, 10, 10), (torch.rand(5, 1, 8, 8) < 0.3).float()
    together.share_moments(network)
    own = together.part(5)
    loss = segmentation_loss(network(images[own]), masks[own], bce=0.5, dice=0.5, together=together)
    loss[0].backward()
    together.share_gradients(network.parameters())
    if together.rank == together.size - 1:
        gradients = [one.grad for one in network.parameters()]
        found = {"loss": torch.stack(loss), "state": network.state_dict(), "gradients": gradients}
        torch.save(found, sys.argv[1])
"""


def torchrun(processes: int, *line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What `torchrun` runs, with two processes or more on loopback; with one, the plain command."""
    starts = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "--no-python"]
    known = {**os.environ, "PYTHONPATH": os.pathsep.join([str(REPOSITORY), *sys.path]), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *(starts if processes > 1 else []), *([sys.executable] if processes > 1 else []), *line]
    return subprocess.run(command, cwd=cwd, env=known, capture_output=True, text=True, check=False, timeout=PATIENCE)


def test_losses_moments_and_gradients_are_those_of_the_whole_batch(tmp_path: Path) -> None:
    (tmp_path / "parts.py").write_text(PARTS)
    found = []
    for processes in (1, 2, 3):
        ended = torchrun(processes, "parts.py", f"{processes}.pt", cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        found.append(torch.load(tmp_path / f"{processes}.pt", weights_only=True))
    for other in found[1:]:
        torch.testing.assert_close(other["loss"], found[0]["loss"], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(other["gradients"], found[0]["gradients"], rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(other["state"], found[0]["state"], rtol=1e-5, atol=1e-6)


workspace = test_train.workspace


def test_two_processes_have_the_curve_of_one(workspace: Path) -> None:
    """The last batch has one slice, so that one process has none of it."""
    curves, weights = [], []
    for processes in (1, 2):
        network = test_train.VALUES["network"] | {"dropout": 0.0}
        test_train.write_params(workspace, network=network, mean=0.9, scaling="volume", epochs=3)
        ended = torchrun(processes, *test_train.LINE[1:], cwd=workspace)
        assert ended.returncode == 0, ended.stderr
        told = workspace / "curves/plots/metrics"
        rows = [path.read_text().split() for path in sorted(told.rglob("*.tsv"))]
        curves.append([float(value) for row in rows for value in row[2:]])
        weights.append(load_model(workspace / "model/last.pt"))
        for name in ("model", "curves"):
            (workspace / name).rename(workspace / f"{name}-{processes}")
    assert len(curves[0]) >= 7 * 3
    assert curves[1] == pytest.approx(curves[0], rel=1e-3, abs=1e-4)
    one, two = (model.unet.state_dict() for model in weights)
    assert one.keys() == two.keys()
    torch.testing.assert_close(one, two, rtol=1e-3, atol=1e-3)
    assert weights[0].about.trained_on == weights[1].about.trained_on


def test_a_loss_by_hand_is_the_same_with_and_without_others() -> None:
    logits, masks = torch.zeros(1, 1, 2, 2), torch.tensor([[[[1.0, 0], [0, 0]]]])
    alone = segmentation_loss(logits, masks, bce=1, dice=1)
    assert alone[1].item() == pytest.approx(0.693147, abs=1e-6)
    assert alone[2].item() == pytest.approx(1 - (2 * 0.5 + 1) / (2 + 1 + 1))
