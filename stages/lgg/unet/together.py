"""Several processes that train one network, as torchrun starts them: each takes its part of every batch.

All of them draw the same slices and the same random maps. What a batch says as a whole, its loss and the moments of
batch normalisation, is summed over the processes, and so are gradients. So the weights are those of one process,
within rounding, as long as nothing is dropped out.

Shapes: B items of a whole batch, b of them in the part of a process, C channels, H × W pixels.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from torch import Tensor, nn
from torch import distributed as dist

PATIENCE = timedelta(minutes=30)  # for the first, who writes and draws while the others wait


class Together:
    """One of `size` processes; alone, it changes nothing and calls nobody."""

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of `count` items are for this process: parts follow each other, and differ by one item at most."""
        return slice(self.rank * count // self.size, (self.rank + 1) * count // self.size)

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes; its gradient is the sum of the gradients too."""
        return _Total.apply(values) if self.size > 1 else values

    def share_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give each process the gradients of the whole batch.

        Each has them of the sum of `size` losses, all of which are that of the whole batch, so they are divided by it.
        """
        if self.size == 1:
            return
        gradients = [one.grad for one in parameters if one.grad is not None]
        whole = torch.cat([one.flatten() for one in gradients])
        dist.all_reduce(whole)
        whole /= self.size
        for gradient, values in zip(gradients, whole.split([one.numel() for one in gradients]), strict=True):
            gradient.copy_(values.view_as(gradient))

    def share_moments(self, network: nn.Module) -> None:
        """Have batch normalisation take the moments of the whole batch."""
        if self.size == 1:
            return
        for module in network.modules():
            for name, child in module.named_children():
                if type(child) is nn.BatchNorm2d:  # a frozen one takes no moments
                    setattr(module, name, _WholeBatchNorm2d(child, self))

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


ALONE = Together()


@contextmanager
def joined() -> Iterator[tuple[Together, torch.device]]:
    """The processes that torchrun has started beside this one, and this one's device; alone where it has not."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    on_gpu = torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    if size == 1:
        yield ALONE, device
        return
    if on_gpu:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if on_gpu else "gloo", timeout=PATIENCE)
    try:
        yield Together(dist.get_rank(), size), device
    finally:
        dist.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum over processes."""

    @staticmethod
    def forward(_: object, values: Tensor) -> Tensor:
        whole = values.clone()
        dist.all_reduce(whole)
        return whole

    @staticmethod
    def backward(_: object, gradient: Tensor) -> Tensor:
        whole = gradient.contiguous().clone()
        dist.all_reduce(whole)
        return whole


class _WholeBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation by the moments of all parts of a batch; `state_dict` has the names and values of `plain`."""

    def __init__(self, plain: nn.BatchNorm2d, together: Together) -> None:
        super().__init__(plain.num_features, plain.eps, plain.momentum, plain.affine, plain.track_running_stats)
        self.train(plain.training)
        self._together = together
        for name, parameter in plain.named_parameters():
            setattr(self, name, parameter)
        for name, buffer in plain.named_buffers():
            setattr(self, name, buffer)

    def forward(self, input: Tensor) -> Tensor:
        """b C H W to the same."""
        if not self.training:
            return super().forward(input)
        values = input.float()
        pixels = torch.full((1,), values.numel() / self.num_features, device=values.device)
        sums, count = self._together.total(torch.cat([values.sum((0, 2, 3)), pixels])).split([self.num_features, 1])
        mean = sums / count
        away = values - mean[:, None, None]
        variance = self._together.total((away**2).sum((0, 2, 3))) / count
        self._follow(mean, variance * count / (count - 1))
        scale = self.weight / (variance + self.eps).sqrt()
        normal: Tensor = away * scale[:, None, None] + self.bias[:, None, None]
        return normal.to(input.dtype)

    @torch.no_grad()
    def _follow(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
