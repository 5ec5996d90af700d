"""What a killed training goes on from: a folder that holds the state and the weights of the epochs so far.

It is declared nowhere, so DVC leaves it alone, and is named by a hash of the parameters, the data, the code,
torch's version and the device: state of anything else is never picked up.
"""

import fcntl
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from pydantic import RootModel

from stages.lgg.checkpoint import load_tensors, save_tensors, save_unet
from stages.lgg.unet import Network

Metrics = dict[str, float]


def key(params: object, inputs: Iterable[Path], device: torch.device) -> str:
    """A hash of all that the bits of a training depend on, the loaded modules of this project among it."""
    digest = hashlib.sha256()
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    values = RootModel[Any](params).model_dump(mode="json")
    digest.update(json.dumps([torch.__version__, where, values], sort_keys=True).encode())
    modules = {name: module.__file__ for name, module in sys.modules.items() if name.startswith("stages.")}
    code = [Path(file) for _, file in sorted(modules.items()) if file]
    for path in [*inputs, *code]:
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()[:16]


@contextmanager
def open_progress(folder: Path, network: Network, *, keep_all: bool) -> Iterator["Progress"]:
    """The progress in `folder`, for this process alone: another training beside it there ends first.

    That other one may be the orphan of a killed `dvc repro`, on its way to the very same weights.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder.parent, os.O_RDONLY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another training in this workspace is under way; waiting for it to end", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield Progress(folder, network, keep_all=keep_all)
    finally:
        os.close(lock)


class Progress:
    """The epochs of one training, on disk as they come."""

    def __init__(self, folder: Path, network: Network, *, keep_all: bool) -> None:
        self.folder = folder
        self.network = network
        self.keep_all = keep_all
        self.history: list[Metrics] = []
        """Metrics of the epochs so far."""
        self.state: dict[str, Any] | None = None
        """From which training goes on."""
        if (folder / "state.pt").exists():
            saved = load_tensors(folder / "state.pt")
            self.history, self.state = saved["history"], saved["training"]

    def save(self, metrics: Metrics, state: dict[str, Any]) -> None:
        """Keep an epoch. Weights come first: a kill in between repeats the epoch and writes the same ones again."""
        self.history.append(metrics)
        self.state = state
        epoch = len(self.history)
        weights = self.folder / "weights"
        weights.mkdir(parents=True, exist_ok=True)
        save_unet(weights / "last.pt", self.network, state["unet"], epoch)
        if self.keep_all:
            save_unet(weights / f"epoch-{epoch:03}.pt", self.network, state["unet"], epoch)
        if metrics["validation/loss"] < min(
            (old["validation/loss"] for old in self.history[:-1]), default=float("inf")
        ):
            save_unet(weights / "best.pt", self.network, state["unet"], epoch)
        save_tensors({"history": self.history, "training": state}, self.folder / "state.pt")

    def export(self, folder: Path) -> None:
        """Copy the weights to keep into the new `folder`."""
        shutil.copytree(self.folder / "weights", folder, ignore=shutil.ignore_patterns(".partial.*"))

    def discard(self) -> None:
        """Delete all: the training is done and its weights stand where they belong."""
        shutil.rmtree(self.folder)
