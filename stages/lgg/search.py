"""The door by which a search trains many U-Nets in one process: what `meta: {search: …}` of lgg-train names.

`load` puts the slices on the device; they stay there as long as the parameters in LOADS are the same. `train` yields
the metrics of each epoch, as the stage logs them: losses, and `validation/dice_per_volume_mean`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from stages.lgg import train as stage
from stages.lgg.pretrained import weights as pretrained
from stages.lgg.unet.batches import make_exact, own_device
from stages.params import parse

DATA = Path("data/lgg")  # as in dvc.yaml
SECTION = "lgg.train"
LOADS = tuple(f"{SECTION}.{name}" for name in ("threads", "precision", "scaling", "network.depth", "network.norm"))


def load(params: Mapping[str, Any]) -> stage.Sets:
    """The slices of lgg-pack and lgg-split, from all of params.yaml.

    Raises:
        BadInput, BadParameters: as lgg-train.
    """
    wanted = parse(stage.TrainParams, SECTION, params)
    make_exact(wanted.threads, wanted.precision)
    device = own_device()
    return stage.load_slices(DATA, wanted.network, wanted.scaling, device)


def train(data: stage.Sets, params: Mapping[str, Any]) -> Iterator[dict[str, float]]:
    """Train a U-Net as lgg-train does; the metrics of each epoch.

    Raises:
        BadInput, BadParameters: as lgg-train.
    """
    wanted = parse(stage.TrainParams, SECTION, params)
    start = None
    if wanted.start.weights != pretrained.NONE:
        start = pretrained.read(Path(wanted.start.weights), wanted.network, wanted.start.layers)
    for epoch in stage.train(data.training, data.weights, data.validation, wanted, start=start):
        yield dict(epoch.metrics)
