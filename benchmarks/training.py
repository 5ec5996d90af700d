"""Training the U-Net, beside the loops that people write: slices a second on this machine.

    python -m benchmarks.training FOLDER [PRECISION …]

FOLDER holds images.npy, masks.npy and slices.csv as lgg-pack writes them. Each loop trains the same network (width 16,
depth 5, batch normalisation, no dropout) by the same batch on all slices, in its own process. The first steps do not
count. PRECISION is that of ours and of MONAI's, both by default; the other two know only float32.

Beside the pace stand the seconds of an epoch, the most memory, and the share of what a product of two large matrices
reaches in the same precision on this machine.

tutorial  the loop of the RStudio AI blog: an item at a time is scaled, resized, turned and flipped; all losses are read
          at each step.
authors   the loader of Buda et al.: slices prepared beforehand, skimage's rescale and rotate in worker processes.
monai     a CacheDataset, RandAffined and RandFlipd of MONAI on whole items, its loss, autocast, channels last.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from benchmarks.clock import timed, yardstick
from gliaflow.machine.local import SPIN_BRIEFLY

BATCH, WARM, STEPS, THREADS = 16, 5, 40, 2
MATRIX, PRODUCTS = 2048, 12
OURS = ("ours", "monai")  # which know other precisions than float32
BARS = {"authors": 3.0, "tutorial": 2.5, "monai": 1.0}  # as many times as fast as each
SCALE, DEGREES, FLIP = 0.05, 15.0, 0.5
SKIMAGE = ("scikit-image==0.26.0", "lazy-loader==0.4", "imageio==2.37.2")


class Enough(Exception):
    """All steps that are counted are done."""


class Clock:
    """When each step was done."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def step(self) -> None:
        """Note one.

        Raises:
            Enough: it was the last.
        """
        self.times.append(time.perf_counter())
        if len(self.times) == WARM + STEPS:
            raise Enough

    @property
    def slices_a_second(self) -> float:
        """Over all steps but the first ones."""
        return BATCH * STEPS / (self.times[-1] - self.times[WARM - 1])


def network() -> Any:
    """The same for all."""
    import torch

    from stages.lgg.unet.network import Network, UNet

    torch.manual_seed(777)
    return UNet(Network(width=16, depth=5, norm="batch", dropout=0.0))


def arrays(folder: Path) -> tuple[Any, Any]:
    """All slices and their masks, in memory."""
    return np.load(folder / "images.npy"), np.load(folder / "masks.npy")


def ours(folder: Path, precision: str, clock: Clock) -> None:
    """The stage's own loop."""
    import pandas as pd
    import torch
    from pydantic import TypeAdapter

    from stages.lgg import train as stage
    from stages.lgg.tables import Subset
    from stages.lgg.unet.batches import make_exact
    from stages.lgg.weigh import weigh

    values = {
        "seed": 777, "epochs": 20, "batch": BATCH, "scaling": "volume", "mean": 0.99,
        "network": {"width": 16, "depth": 5, "norm": "batch", "dropout": 0.0},
        "start": {"weights": "none", "layers": "all", "rate": 0.1}, "loss": {"bce": 0.5, "dice": 0.5},
        "optimizer": {
            "name": "adamw", "learning_rate": 2e-3, "momentum": 0.9, "weight_decay": 0.01, "schedule": "one-cycle",
        },
        "augment": {"scale": SCALE, "rotation_degrees": DEGREES, "flip": FLIP},
        "precision": precision, "threads": THREADS, "keep": "last-and-best",
    }  # fmt: skip
    params = TypeAdapter(stage.TrainParams).validate_python(values)
    make_exact(params.threads)
    images, masks = arrays(folder)
    patients = pd.read_csv(folder / "slices.csv", dtype=str)["patient"]
    whole, weights = np.arange(len(images)), weigh(masks.sum(axis=(1, 2), dtype=np.int64))
    chosen: dict[Subset, Any] = {"train": whole, "validation": whole}
    sets = stage.deal(images, masks, patients, chosen, weights, params.scaling, torch.device("cpu"))
    for _ in stage.train(sets.training, weights, sets.validation, params, on_step=clock.step):
        pass


def tutorial(folder: Path, _: str, clock: Clock) -> None:
    """Line by line as the blog has it, in torch's own words."""
    import torch
    from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as change

    torch.set_num_threads(THREADS)
    images, masks = arrays(folder)

    class Items(Dataset[tuple[Any, Any]]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            image = torch.from_numpy(images[number]).permute(2, 0, 1).float()
            image = (image - image.min()) / (image.max() - image.min() + 1e-5)
            mask = torch.from_numpy(masks[number])[None].float()
            side = image.shape[1]
            size = round(side * float(torch.empty(()).uniform_(1 - SCALE, 1 + SCALE)))
            image = change.center_crop(change.resize(image, [size, size], antialias=False), [side, side])
            mask = change.resize(mask, [size, size], InterpolationMode.NEAREST)
            mask = change.center_crop(mask, [side, side])
            angle = float(torch.empty(()).uniform_(-DEGREES, DEGREES))
            image = change.rotate(image, angle, InterpolationMode.BILINEAR)
            mask = change.rotate(mask, angle)
            if float(torch.rand(())) < FLIP:
                image, mask = change.hflip(image), change.hflip(mask)
            return image, mask

    areas = masks.sum(axis=(1, 2), dtype=np.float64)
    weights = areas + 0.1 * areas.mean()
    loader = DataLoader(Items(), BATCH, sampler=WeightedRandomSampler(weights.tolist(), len(images)))
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=20 * len(loader))
    losses = []
    for image, mask in _again(loader):
        optimizer.zero_grad()
        output = model(image).sigmoid()
        bce = torch.nn.functional.binary_cross_entropy(output, mask)
        dice = 1 - (2 * (output * mask).sum() + 1) / (output.sum() + mask.sum() + 1)
        loss = 0.3 * dice + 0.7 * bce
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append((loss.item(), bce.item(), dice.item()))
        clock.step()


def authors(folder: Path, _: str, clock: Clock) -> None:
    """As `brain-segmentation-pytorch` loads and trains: float32 slices, skimage, workers."""
    import torch
    from skimage.transform import rescale, rotate  # type: ignore[import-not-found]
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(THREADS)
    images, masks = arrays(folder)
    images = ((images - images.mean((0, 1, 2))) / images.std((0, 1, 2))).astype(np.float32)

    class Items(Dataset[tuple[Any, Any]]):
        def __len__(self) -> int:
            return len(images)

        def __getitem__(self, number: int) -> tuple[Any, Any]:
            draw = np.random.default_rng()
            image, mask = images[number], masks[number].astype(np.float32)[..., None]
            side, scale = len(image), draw.uniform(1 - SCALE, 1 + SCALE)
            keep = {"channel_axis": 2, "preserve_range": True, "mode": "constant", "anti_aliasing": False}
            image, mask = rescale(image, scale, **keep), rescale(mask, scale, order=0, **keep)
            image, mask = (_fitted(array, side) for array in (image, mask))
            angle = draw.uniform(-DEGREES, DEGREES)
            image = rotate(image, angle, resize=False, preserve_range=True, mode="constant")
            mask = rotate(mask, angle, resize=False, order=0, preserve_range=True, mode="constant")
            if draw.random() < FLIP:
                image, mask = np.fliplr(image).copy(), np.fliplr(mask).copy()
            both = (np.ascontiguousarray(array.transpose(2, 0, 1), np.float32) for array in (image, mask))
            return tuple(map(torch.from_numpy, both))  # type: ignore[return-value]

    loader = DataLoader(Items(), BATCH, shuffle=True, drop_last=True, num_workers=THREADS)
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    losses = []
    for image, mask in _again(loader):
        optimizer.zero_grad()
        output = model(image).sigmoid()
        loss = 1 - (2 * (output * mask).sum() + 1) / (output.sum() + mask.sum() + 1)
        losses.append(loss.item())
        loss.backward()
        optimizer.step()
        clock.step()


def monai(folder: Path, precision: str, clock: Clock) -> None:
    """MONAI's cache, its transforms and its loss."""
    import torch
    from monai.data.dataset import CacheDataset
    from monai.data.thread_buffer import ThreadDataLoader
    from monai.losses.dice import DiceCELoss
    from monai.transforms.compose import Compose
    from monai.transforms.intensity.dictionary import ScaleIntensityd
    from monai.transforms.spatial.dictionary import RandAffined, RandFlipd

    torch.set_num_threads(THREADS)
    images, masks = arrays(folder)
    items = [
        {"image": torch.from_numpy(image).permute(2, 0, 1).float(), "label": torch.from_numpy(mask)[None].float()}
        for image, mask in zip(images, masks, strict=True)
    ]
    keys = ["image", "label"]
    turn = np.deg2rad(DEGREES)
    transform = Compose(
        [
            ScaleIntensityd("image"),
            RandAffined(
                keys, prob=1.0, rotate_range=turn, scale_range=(SCALE, SCALE), mode=["bilinear", "nearest"],
                padding_mode="zeros", cache_grid=True,
            ),
            RandFlipd(keys, prob=FLIP, spatial_axis=1),
        ]
    )  # fmt: skip
    data = CacheDataset(items, transform, progress=False)
    loader = ThreadDataLoader(data, batch_size=BATCH, shuffle=True, num_workers=0)
    model = network().to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    measure = DiceCELoss(sigmoid=True)
    for drawn in _again(loader):
        image, mask = (drawn[key].as_tensor() for key in keys)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            output = model(image.contiguous(memory_format=torch.channels_last))
        measure(output.float(), mask).backward()
        optimizer.step()
        clock.step()


def _again(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


def _fitted(array: Any, side: int) -> Any:
    """Cut or padded about its middle to a square of `side` px."""
    if len(array) > side:
        first = (len(array) - side) // 2
        return array[first : first + side, first : first + side]
    before = (side - len(array)) // 2
    after = side - len(array) - before
    return np.pad(array, ((before, after), (before, after), (0, 0)))


LOOPS: dict[str, Callable[[Path, str, Clock], None]] = {
    "ours": ours, "tutorial": tutorial, "authors": authors, "monai": monai,
}  # fmt: skip


def _skimage() -> Path:
    """The folder of skimage, in the user's cache; installed if it is not there."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gliaflow-benchmarks"
    place = cache / f"skimage-python-{sys.version_info.major}.{sys.version_info.minor}"
    if not (place / "skimage").exists():
        print(f"installing {SKIMAGE[0]} in {place}", flush=True)
        line = ["uv", "pip", "install", "-q", "--python", sys.executable, "--target", str(place), "--no-deps", *SKIMAGE]
        subprocess.run(line, check=True)
    return place


class Loop(NamedTuple):
    """What was measured of one."""

    name: str
    precision: str
    pace: float  # slices a second
    megabytes: float  # the most, of all its processes

    def told(self, slices: int, share: float) -> str:
        """In one line, for an epoch of so many slices."""
        return (
            f"{self.name}, {self.precision}: {self.pace:.1f} slices a second, {slices / self.pace:.0f} s an epoch of "
            f"{slices}, {share:.0%} of the rate of matrices, {self.megabytes:.0f} MB"
        )


def measured(name: str, folder: Path, precision: str) -> Loop:
    """A loop, in a process of its own."""
    known = os.environ | {"OMP_NUM_THREADS": str(THREADS), **SPIN_BRIEFLY}
    if name == "authors":
        known["PYTHONPATH"] = os.pathsep.join(filter(None, [known.get("PYTHONPATH"), str(_skimage())]))
    line = [sys.executable, "-W", "ignore", "-m", "benchmarks.training", "--loop", name, str(folder), precision]
    with TemporaryDirectory() as place:
        own = Path(place, f"{name}-{precision}")
        took = timed(line, Path.cwd(), known, own.with_suffix(".log"))
        said = own.with_suffix(".log").read_text(errors="replace").splitlines()
    found = json.loads(next(line for line in reversed(said) if line.startswith("{")))
    return Loop(name, precision, found["slices_a_second"], took.megabytes)


def matrices(precision: str) -> float:
    """Operations a second of a product of two large matrices."""
    import torch

    torch.set_num_threads(THREADS)
    one, other = torch.rand(2, MATRIX, MATRIX, dtype=getattr(torch, precision))
    seconds = []
    for _ in range(PRODUCTS):
        began = time.perf_counter()
        one @ other
        seconds.append(time.perf_counter() - began)
    return 2 * MATRIX**3 / min(seconds)


def operations(side: int) -> float:
    """Of a slice: the network forward and backward."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        network()(torch.rand(1, 3, side, side)).sum().backward()
    return float(counter.get_total_flops())


def main() -> None:
    """Measure all, and print how many times as fast ours is."""
    if sys.argv[1:2] == ["--loop"]:
        name, folder, precision = sys.argv[2:]
        clock = Clock()
        try:
            LOOPS[name](Path(folder), precision, clock)
        except Enough:
            print(json.dumps({"slices_a_second": clock.slices_a_second}))
        return
    folder, *precisions = sys.argv[1:]
    images = np.load(Path(folder, "images.npy"), mmap_mode="r")
    rates, each = {one: matrices(one) for one in ("bfloat16", "float32")}, operations(images.shape[1])
    told = ", ".join(f"{rate / 1e9:.0f} in {one}" for one, rate in rates.items())
    print(f"matrices: {told} (10⁹ operations a second); a slice takes {each / 1e9:.2f}")
    print(f"a fixed loop takes {yardstick():.3f} s before; {THREADS} threads, batch {BATCH}, {images.shape[1]} px")
    missed = []
    for precision in precisions or ["bfloat16", "float32"]:
        loops = {name: measured(name, Path(folder), precision if name in OURS else "float32") for name in LOOPS}
        for loop in loops.values():
            print(loop.told(len(images), loop.pace * each / rates[loop.precision]), flush=True)
        for name, bar in BARS.items():
            ratio = loops["ours"].pace / loops[name].pace
            missed += [f"{name} beside {precision}"] if ratio < bar else []
            needs = bar * loops[name].pace * each / rates[precision]
            print(f"beside {name}: {ratio:.2f} × (at least {bar}, which is {needs:.0%} of the rate of matrices)")
    print(f"a fixed loop takes {yardstick():.3f} s after; missed: {', '.join(missed) or 'nothing'}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
