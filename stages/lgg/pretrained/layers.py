"""Old layers beside new ones: how fast the old ones move, or that they do not move at all."""

from collections.abc import Collection

from torch import nn
from torch.nn import Parameter

from stages.errors import BadParameters


class FrozenBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that stays in eval mode, whatever `train` is called on it or on what holds it."""

    def train(self, mode: bool = True) -> "FrozenBatchNorm2d":  # noqa: ARG002
        """Leave it as it is."""
        return super().train(False)


def groups(model: nn.Module, old: Collection[str], rate: float) -> dict[float, list[Parameter]]:
    """The parameters to train, under the part of the learning rate that is theirs: `rate` for the `old` ones, else 1.

    `old` are names of parameters. A rate of 0 freezes them, and the statistics of batch normalisation among them.

    Raises:
        BadParameters: no parameter is left to train.
    """
    if old and rate == 0:
        freeze(model, old)
    found = dict[float, list[Parameter]]()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            found.setdefault(rate if name in old else 1.0, []).append(parameter)
    if not found:
        raise BadParameters("lgg.train.start.rate is 0: no layer is left to train; raise it, or insert blocks")
    return found


def freeze(model: nn.Module, names: Collection[str]) -> None:
    """Stop the parameters of these names, in place; batch normalisation whose parameters stop keeps its statistics."""
    for place, module in list(model.named_modules()):
        own = {name: value for name, value in module.named_parameters(place, recurse=False) if name in names}
        for parameter in own.values():
            parameter.requires_grad_(False)
        if own and isinstance(module, nn.BatchNorm2d):
            model.set_submodule(place, _frozen(module))


def _frozen(module: nn.BatchNorm2d) -> FrozenBatchNorm2d:
    """The same layer, with the same tensors."""
    layer = FrozenBatchNorm2d(module.num_features, module.eps, module.momentum)
    layer.weight, layer.bias = module.weight, module.bias
    layer.running_mean, layer.running_var = module.running_mean, module.running_var
    layer.num_batches_tracked = module.num_batches_tracked
    return layer.train()
