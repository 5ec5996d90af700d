import pytest
import torch
from torch import nn
from torch.nn import Parameter
from torch.optim.lr_scheduler import OneCycleLR

from stages.lgg.unet.optimizer import Mean, Optimizer, build


def steps(chosen: Optimizer, count: int) -> list[tuple[float, float]]:
    """Learning rate and momentum (or first beta) at each step."""
    optimizer, schedule = build({1.0: nn.Linear(1, 1).parameters()}, chosen, count)
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


def weight() -> Parameter:
    return Parameter(torch.ones(1))


@pytest.mark.parametrize("schedule", ["one-cycle", "constant"])
@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_old_layers_have_their_part_of_the_rate_at_every_step(name: str, schedule: str) -> None:
    old, new = weight(), weight()
    optim, plan = build({0.1: [old], 1.0: [new]}, optimizer(name, schedule), 50)
    rates = []
    for _ in range(50):
        rates.append([group["lr"] for group in optim.param_groups])
        (old + new).backward()
        optim.step()
        plan.step()
    for slow, fast in rates:
        assert slow == pytest.approx(0.1 * fast, rel=1e-9)
    assert max(fast for _, fast in rates) == pytest.approx(0.1, rel=1e-2)
    assert 0 < 1 - old.item() < 1 - new.item()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_without_old_layers_the_steps_are_those_of_the_bare_optimiser(name: str) -> None:
    """Bit for bit, as before there were old layers."""
    found = []
    for bare in (True, False):
        parameter = Parameter(torch.linspace(-1, 1, 7))
        if bare:
            optim: torch.optim.Optimizer = (
                torch.optim.SGD([parameter], 0.1, 0.9, fused=True)
                if name == "sgd"
                else torch.optim.AdamW([parameter], 0.1, (0.9, 0.999), weight_decay=0.0, fused=True)
            )
            plan: object = OneCycleLR(optim, 0.1, total_steps=20)
        else:
            optim, plan = build({1.0: [parameter]}, optimizer(name, "one-cycle"), 20)
        for _ in range(20):
            optim.zero_grad()
            (parameter**3 + parameter).sum().backward()
            optim.step()
            plan.step()  # type: ignore[attr-defined]
        found.append(parameter.detach())
    assert torch.equal(*found)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_constant_stays(name: str) -> None:
    assert steps(optimizer(name, "constant"), 20) == [(0.1, 0.9)] * 20


def test_names_are_torchs() -> None:
    names = ("sgd", "adam", "adamw")
    kinds = {name: type(build({1.0: [weight()]}, optimizer(name, "constant"), 1)[0]) for name in names}
    assert kinds == {"sgd": torch.optim.SGD, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}


def test_a_running_mean_by_hand() -> None:
    """It keeps 2/11 at the first step; at the second 3/12 would be more than its decay of 0.2."""
    layer = nn.BatchNorm1d(1)
    mean = Mean(layer, 0.2)
    for value in (11.0, 20.0):
        layer.weight.data.fill_(value)
        layer(torch.zeros(2, 1))  # counts one
        mean.follow()
    first = 1 * 2 / 11 + 11 * 9 / 11
    assert mean.state["weight"].item() == pytest.approx(first * 0.2 + 20 * 0.8)
    assert mean.state["num_batches_tracked"].item() == 2
    assert layer.weight.item() == 20


def test_a_running_mean_goes_on_from_its_state() -> None:
    layer, other = nn.Linear(1, 1), nn.Linear(1, 1)
    mean = Mean(layer, 0.99)
    mean.follow()
    again = Mean(other, 0.99, 1)
    again.load(mean.state)
    layer.weight.data.fill_(3)
    other.weight.data.fill_(3)
    for one in (mean, again):
        one.follow()
    assert torch.equal(mean.state["weight"], again.state["weight"])
