"""Packing the zipped archive, beside a plain tifffile loop over the same files unpacked; prints the ratio of times.

    GLIAFLOW_LGG_ZIP=lgg.zip GLIAFLOW_LGG_TREE=lgg python -m benchmarks.pack

Both leave the same images.npy and masks.npy; the loop need not even unpack the zip. Best of three runs in turn.
"""

import os
import sys
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile

from stages.lgg import pack

RUNS = 3
ARRAYS = (Path("images.npy"), Path("masks.npy"))


def stage(archive: Path) -> None:
    """What `python -m stages.lgg.pack` does."""
    tables = {name: Path(f"{name}.csv") for name in ("slices", "patients")}
    pack.main(archive, images=ARRAYS[0], masks=ARRAYS[1], **tables, truth=Path("truth.npz"))


def loop(tree: Path) -> None:
    """What a notebook does."""
    masks = sorted(tree.glob("kaggle_3m/*/*_mask.tif"), key=_patient_and_number)
    images = [tifffile.imread(mask.with_name(mask.name.replace("_mask", ""))) for mask in masks]
    np.save(ARRAYS[0], np.stack(images))
    np.save(ARRAYS[1], np.stack([tifffile.imread(mask) for mask in masks]) // 255)


def _patient_and_number(mask: Path) -> tuple[str, int]:
    return mask.parent.name, int(mask.stem.split("_")[-2])


def _seconds(run: Callable[[Path], None], source: Path) -> float:
    for path in ARRAYS:
        path.unlink(missing_ok=True)
    start = time.perf_counter()
    run(source)
    return time.perf_counter() - start


def main() -> None:
    """Time both, check that they agree, print the ratio."""
    archive, tree = (Path(os.environ[name]).resolve() for name in ("GLIAFLOW_LGG_ZIP", "GLIAFLOW_LGG_TREE"))
    packed, looped = [], []
    with TemporaryDirectory() as folder, chdir(folder):
        Path("params.yaml").write_text("lgg: {pack: {side: null}}\n", encoding="utf-8")
        for _ in range(RUNS):
            packed.append(_seconds(stage, archive))
            ours = [path.rename(f"packed-{path}") for path in ARRAYS]
            looped.append(_seconds(loop, tree))
            if any(path.read_bytes() != other.read_bytes() for path, other in zip(ARRAYS, ours, strict=True)):
                sys.exit("error: the two do not give the same arrays")
    ratio = min(packed) / min(looped)
    print(f"pack {min(packed):.2f} s, tifffile loop {min(looped):.2f} s: ratio {ratio:.2f} (best of {RUNS})")


if __name__ == "__main__":
    main()
