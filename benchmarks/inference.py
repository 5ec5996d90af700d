"""Inference of the U-Net: an evaluation beside an epoch of training, and predict beside the network alone.

    python -m benchmarks.inference FOLDER SCANS

FOLDER holds what lgg-pack writes of 60 patients or more, and SCANS the folders of some scans, as predict takes them.
The recipe is that of profiles/best.yaml, with 30 patients to validate on, and one epoch.

- One epoch of training with its validation, and the evaluation of 30 patients with mirror images, distances and
  figures. Both are whole commands, from prompt to prompt.
- `predict` on all SCANS, as a whole command, beside the seconds of the network alone on the same slices, in memory.
"""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from benchmarks.clock import timed, yardstick
from gliaflow.machine.local import SPIN_BRIEFLY

ROOT = Path(__file__).parents[1]
VALIDATION, THREADS, BATCH = 30, 2, 8
ARRAYS = ("images.npy", "masks.npy", "slices.csv", "patients.csv", "truth.npz")
EVALUATE_BAR, PREDICT_BAR = 1.0, 1.2  # at most so many times an epoch, and the network alone


def workspace(folder: Path, place: Path) -> None:
    """The data of FOLDER, with parameters and a split of their own."""
    data = place / "data"
    data.mkdir()
    for name in ARRAYS:
        (data / name).symlink_to((folder / name).resolve())
    yaml: Any = YAML(typ="safe")
    params = yaml.load(ROOT / "profiles/best.yaml")
    params["lgg"]["split"]["validation"] = VALIDATION
    params["lgg"]["train"] |= {"epochs": 1, "threads": THREADS}
    yaml.dump(params, place / "params.yaml")


def seconds(place: Path, name: str, *line: str) -> float:
    """Of a command of the pipeline."""
    known = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(THREADS), **SPIN_BRIEFLY}
    return timed([sys.executable, "-m", f"stages.lgg.{name}", *line], place, known, place / f"{name}.log").seconds


def network_alone(model: Path, scans: Path) -> tuple[int, float]:
    """How many scans, and the seconds of the network on all their slices in memory: the better of two times."""
    from stages.lgg.inference.found import find
    from stages.lgg.inference.logits import logits_of
    from stages.lgg.inference.members import load_members
    from stages.lgg.inference.reading import read
    from stages.lgg.inference.threads import side_by_side

    found, members = find([scans]), load_members(model, THREADS, "float32")
    stacks = [read(scan).packed(members.side) for scan in found]
    took = []
    for _ in range(2):
        began = time.perf_counter()
        for _ in side_by_side(
            lambda one: logits_of(members.models[0], one, BATCH, "float32", flip=True), stacks, THREADS
        ):
            pass
        took.append(time.perf_counter() - began)
    return len(found), min(took)


def main() -> None:
    """Measure both, and print the ratios."""
    folder, scans = map(Path, sys.argv[1:])
    print(f"a fixed loop takes {yardstick():.3f} s before; {THREADS} threads")
    with TemporaryDirectory() as temporary:
        place = Path(temporary)
        workspace(folder, place)
        seconds(place, "split", "data/slices.csv", "--split", "data/split.csv")
        seconds(place, "weigh", "data/slices.csv", "data/split.csv", "--weights", "data/weights.csv")
        epoch = seconds(place, "train", "data", "--model", "model", "--curves", "curves")
        results = ("--metrics", "evaluate.json", "--patients", "scored.csv", "--figures", "figures")
        evaluation = seconds(place, "evaluate", "data", "model", *results)
        side = np.load(folder / "images.npy", mmap_mode="r").shape[1]
        ratios = [(evaluation / epoch, EVALUATE_BAR)]
        print(
            f"{side} px: an epoch {epoch:.1f} s, evaluating {VALIDATION} patients {evaluation:.1f} s: "
            f"ratio {ratios[0][0]:.2f} (at most {EVALUATE_BAR})"
        )
        model = place / "model/last.pt"
        line = ("-i", str(scans.resolve()), "-o", "masks", "--model", str(model))
        whole = seconds(place, "predict", *line, "--threads", str(THREADS), "--batch", str(BATCH))
        count, alone = network_alone(model, scans)
        ratios.append((whole / alone, PREDICT_BAR))
        print(
            f"{count} scans: predict {whole:.1f} s, the network alone {alone:.1f} s: ratio {ratios[1][0]:.2f} "
            f"(at most {PREDICT_BAR})"
        )
    print(f"a fixed loop takes {yardstick():.3f} s after")
    sys.exit(any(ratio > bar for ratio, bar in ratios))


if __name__ == "__main__":
    main()
