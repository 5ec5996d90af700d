"""What a killed training goes on from: a folder that holds the state and the weights of the epochs so far.

It is declared nowhere, so DVC leaves it alone, and is named by a hash of the parameters, the data, the code,
torch's version and the device: state of anything else is never picked up.
"""

import fcntl
import hashlib
import json
import math
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from pydantic import RootModel

from stages.errors import BadInput
from stages.lgg.unet.checkpoint import About, load_tensors, save_tensors, save_unet
from stages.lgg.unet.network import Network

CODE = Path(__file__).resolve().parents[2]  # stages/
Metrics = dict[str, float]


def key(params: object, inputs: Sequence[str], device: torch.device) -> str:
    """A hash of all that the bits of a training depend on: what `digest` gave of its inputs and of `code`, and more."""
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    values = RootModel[Any](params).model_dump(mode="json")
    known = json.dumps([torch.__version__, where, values, *inputs], sort_keys=True)
    return hashlib.sha256(known.encode()).hexdigest()[:16]


def code() -> list[Path]:
    """The modules of this project that are loaded."""
    # By file and not by name: the module that is run as a command is called __main__.
    files = {
        Path(file).resolve() for module in list(sys.modules.values()) if (file := getattr(module, "__file__", None))
    }
    return sorted(file for file in files if file.is_relative_to(CODE))


def digest(paths: Iterable[Path]) -> str:
    """The SHA-256 of the SHA-256s of files, in the order given."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


@contextmanager
def open_progress(folder: Path, network: Network, about: About, *, keep_all: bool) -> Iterator["Progress"]:
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
        for leftover in folder.parent.glob(".partial.*"):
            shutil.rmtree(leftover)
        yield Progress(folder, network, about, keep_all=keep_all)
    finally:
        os.close(lock)


class Progress:
    """The epochs of one training, on disk as they come."""

    def __init__(self, folder: Path, network: Network, about: About, *, keep_all: bool) -> None:
        self.folder = folder
        self.network = network
        self.about = about
        self.keep_all = keep_all
        self.history: list[Metrics] = []
        """Metrics of the epochs so far."""
        self.state: dict[str, Any] | None = None
        """From which training goes on."""
        if (folder / "state.pt").exists():
            self._read()

    def _read(self) -> None:
        try:
            saved = load_tensors(self.folder / "state.pt")
            self.history, self.state = saved["history"], saved["training"]
        except (BadInput, KeyError):
            print(f"{self.folder}: the saved training is damaged; beginning anew", file=sys.stderr, flush=True)
            shutil.rmtree(self.folder)

    def save(self, metrics: Metrics, state: dict[str, Any]) -> None:
        """Keep an epoch. Weights come first: a kill in between repeats the epoch and writes the same ones again."""
        lowest = min((old.get("validation/loss", math.inf) for old in self.history), default=math.inf)
        self.history.append(metrics)
        self.state = state
        self.folder.mkdir(exist_ok=True)
        if self.keep_all:
            self._save_weights(self.folder / f"epoch-{len(self.history):03}.pt")
        if metrics.get("validation/loss", math.inf) < lowest:
            self._save_weights(self.folder / "best.pt")
        save_tensors({"history": self.history, "training": state}, self.folder / "state.pt")

    def _save_weights(self, path: Path) -> None:
        assert self.state
        defined = {name: value if math.isfinite(value) else None for name, value in self.history[-1].items()}
        about = replace(self.about, metrics=defined)
        save_unet(path, self.network, self.state.get("mean") or self.state["unet"], len(self.history), about)

    def export(self, folder: Path) -> None:
        """Put the weights to keep into the new `folder`."""
        shutil.copytree(self.folder, folder, ignore=shutil.ignore_patterns(".partial.*", "state.pt"))
        self.save_last(folder / "last.pt")

    def save_last(self, path: Path) -> None:
        """Write the weights of the last epoch so far."""
        self._save_weights(path)

    def discard(self) -> None:
        """Delete all: the training is done and its weights stand where they belong.

        Renamed first, so that a kill within does not leave a finished training without its weights.
        """
        gone = self.folder.with_name(f".partial.{self.folder.name}")
        self.folder.rename(gone)
        shutil.rmtree(gone)
