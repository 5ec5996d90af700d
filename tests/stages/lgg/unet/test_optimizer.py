import pytest
import torch
from torch import nn

from stages.lgg.unet.optimizer import Optimizer, build


def steps(chosen: Optimizer, count: int) -> list[tuple[float, float]]:
    """Learning rate and momentum (or first beta) at each step."""
    optimizer, schedule = build(nn.Linear(1, 1), chosen, count)
    seen = []
    for _ in range(count):
        group = optimizer.param_groups[0]
        seen.append((group["lr"], group["momentum"] if "momentum" in group else group["betas"][0]))
        optimizer.step()
        schedule.step()
    return seen


def optimizer(name: str, schedule: str) -> Optimizer:
    values = {"name": name, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 0.0, "schedule": schedule}
    return Optimizer(**values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_one_cycle_is_the_tutorials(name: str) -> None:
    seen = steps(optimizer(name, "one-cycle"), 1001)
    rates, momenta = zip(*seen, strict=True)
    assert rates[0] == pytest.approx(0.004)
    assert momenta[0] == pytest.approx(0.95)
    assert max(rates) == pytest.approx(0.1, rel=1e-4)
    assert rates.index(max(rates)) == pytest.approx(300, abs=2)
    assert min(momenta) == pytest.approx(0.85, rel=1e-4)
    assert momenta[-1] == pytest.approx(0.95)
    assert rates[-1] == pytest.approx(0.004 / 1e4)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_constant_stays(name: str) -> None:
    assert steps(optimizer(name, "constant"), 20) == [(0.1, 0.9)] * 20


def test_names_are_torchs() -> None:
    kinds = {name: type(build(nn.Linear(1, 1), optimizer(name, "constant"), 1)[0]) for name in ("sgd", "adam", "adamw")}
    assert kinds == {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
