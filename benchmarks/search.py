"""`gliaflow search`: warm workers beside a process for each individual; memory; and what halving saves.

    python -m benchmarks.search [speed|memory|halving …]

speed     Individuals by warm workers, and some of them by a process for each, as many at once: a Keras model from a
          config, Adam, 5 epochs on the sample's digits (benchmarks.keras_door). Models a minute, from prompt to prompt,
          with all that starts. The last metrics of each must be the same to the bit.
memory    What a worker holds after each of as many individuals.
halving   A search of mnist-train with rungs and one without: the best of each, and the epochs that they took. The best
          of many is also the luckiest, and more so of more. So both are then trained from other seeds.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from operator import getitem
from pathlib import Path
from statistics import mean, stdev
from tempfile import TemporaryDirectory
from typing import Any

from ruamel.yaml import YAML

from benchmarks.clock import yardstick
from gliaflow.core.settings import Settings
from gliaflow.experiments.search.individuals import Trained
from gliaflow.experiments.search.workers import Door, Memory, Task, Workers
from tests.support.repos import GLIAFLOW, ROOT, environment

AT_ONCE = 2
INDIVIDUALS = 200  # of warm workers
APART, FASTER = (
    60,
    5.0,
)  # of them by a process each, whose pace is the same for all; how many times as fast warm ones are
PART, FLAT = 50, 0.05  # of the first and the last individuals; by how much the means of what a worker holds may differ
POPULATION, GENERATIONS, RUNGS, SAVED = 24, 6, (1, 3), 1 / 3
SEEDS = range(1000, 1012)  # from which the best of both searches are trained again
SPACE = {
    "mnist.train.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
    "mnist.train.hidden": {"low": 16, "high": 320, "step": 16},
    "mnist.train.batch": [32, 64, 100],
}
ALONE = """
import json, sys
import benchmarks.keras_door as door
params = json.loads(sys.argv[1])
data = door.load(params)
for metrics in door.train(data, params):
    pass
print(json.dumps({name: float(value) for name, value in metrics.items()}))
"""


def configs(count: int, kept: bool = False) -> list[dict[str, Any]]:
    """Models of several sizes; `kept` says that a compiled one stays for the next of its shape."""
    units, rates, batches = ([64], [128], [256], [128, 64]), (1e-3, 2e-3, 4e-3), (250, 500)
    return [
        {
            "threads": 1,
            "seed": number,
            "units": units[number % len(units)],
            "rate": rates[number % len(rates)],
            "batch": batches[number % len(batches)],
            "kept": kept,
        }
        for number in range(count)
    ]


def digits(folder: Path) -> tuple[Path, dict[str, str]]:
    """A clone in which the sample's digits are, and the environment of its commands."""
    known = environment(folder / "home")
    known["PYTHONPATH"] = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    root = folder / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(root)], check=True)
    line = [*GLIAFLOW, "repro", "--no-prefect", "-q", "mnist-download"]
    subprocess.run(line, cwd=root, env=known, check=True)
    return root, known


def warm(
    root: Path,
    known: dict[str, str],
    found: list[dict[str, Any]],
    at_once: int,
    door: str = "benchmarks.keras_door",
) -> tuple[dict[str, Trained], Workers]:
    """All individuals by warm workers."""
    trained: dict[str, Trained] = {}
    tasks = [Task(str(number), one) for number, one in enumerate(found)]
    os.environ["GLIAFLOW_SLOTS"] = known["GLIAFLOW_SLOTS"]
    with Workers(Door(door, str(root), known, Settings()), at_once, at_once, print) as workers:
        workers.train(tasks, lambda task, one: trained.update({task.key: one}))
    return trained, workers


def alone(root: Path, known: dict[str, str], config: dict[str, Any]) -> dict[str, float]:
    """One individual by a process of its own."""
    line = [sys.executable, "-c", ALONE, json.dumps(config)]
    ended = subprocess.run(line, cwd=root, env=known, capture_output=True, text=True, check=True)
    return dict(json.loads(ended.stdout.splitlines()[-1]))


def speed(folder: Path) -> bool:
    """Whether warm workers are as fast as they must be, with the same scores."""
    root, known = digits(folder)
    began = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        theirs = list(pool.map(lambda one: alone(root, known, one), configs(APART)))
    peer = 60 * APART / (time.perf_counter() - began)
    print(f"a process each: {APART} individuals, {peer:.1f} models a minute", flush=True)
    fine = True
    for what, kept in (("graphs made anew", False), ("compiled models kept by the door", True)):
        began = time.perf_counter()
        trained, _ = warm(root, known, configs(INDIVIDUALS, kept), AT_ONCE)
        ours = 60 * INDIVIDUALS / (time.perf_counter() - began)
        same = [dict(trained[str(number)].epochs[-1]) for number in range(APART)] == theirs
        print(f"warm workers, {what}: {len(trained)} individuals, {ours:.1f} models a minute")
        print(f"ratio {ours / peer:.2f} (at least {FASTER}); the same scores to the bit: {same}", flush=True)
        fine &= same and ours / peer >= FASTER
    return fine


def memory(folder: Path) -> bool:
    """Whether a worker holds no more in the end than in the beginning."""
    root, known = digits(folder)
    trained, workers = warm(root, known, configs(INDIVIDUALS), 1)
    held: list[Memory] = workers.memory
    first, last = (mean(one.host for one in some) / 1e6 for some in (held[:PART], held[-PART:]))
    failed = sum(not one.ended for one in trained.values())
    used = len({one.pid for one in held})
    print(f"{len(held)} individuals, {failed} failed, {workers.replaced} workers replaced, {used} used")
    print(f"held: {first:.1f} MB after the first {PART}, {last:.1f} MB after the last {PART}: {last / first - 1:+.1%}")
    return abs(last / first - 1) <= FLAT and not failed


def halving(folder: Path) -> bool:
    """Whether a search with rungs finds as good an individual in so much less."""
    root, known = digits(folder)
    (root / "space.yaml").write_text(json.dumps(SPACE))
    numbers = ["--population", str(POPULATION), "--generations", str(GENERATIONS), "--seed", "777"]
    line = [
        *GLIAFLOW,
        "search",
        "mnist-train",
        "space.yaml",
        "--metric",
        "accuracy",
        "--no-prefect",
        "--json",
        *numbers,
    ]
    found = {}
    for name, rungs in (("halved", RUNGS), ("full", ())):
        for path in (root / ".dvc/tmp/gliaflow").rglob("individuals.jsonl"):
            path.unlink()
        began = time.perf_counter()
        flags = [flag for rung in rungs for flag in ("--rung", str(rung))]
        ended = subprocess.run(
            [*line, "--no-experiment", *flags], cwd=root, env=known, capture_output=True, text=True, check=True
        )
        told = json.loads(ended.stdout)
        found[name] = told
        best = told["best"]
        seconds = time.perf_counter() - began
        print(f"{name}: best {best['score']} of {best['values']}, {told['epochs']} epochs, {seconds:.0f} s")
    ratio = found["halved"]["epochs"] / found["full"]["epochs"]
    as_good = found["halved"]["best"]["score"] >= found["full"]["best"]["score"]
    print(f"as good: {as_good}; epochs: {ratio:.2f} of the full search's (at most {SAVED:.2f})")
    again = {name: accuracies(root, known, one["best"]["values"]) for name, one in found.items()}
    more = [ours - theirs for ours, theirs in zip(again["halved"], again["full"], strict=True)]
    error = stdev(more) / len(more) ** 0.5
    means = ", ".join(f"{name} {mean(ones):.4f}" for name, ones in again.items())
    print(
        f"their best from {len(more)} other seeds: {means}; halved is better by {mean(more):.4f} ± {error:.4f} (s.e.)"
    )
    return bool(as_good and ratio <= SAVED)


def accuracies(root: Path, known: dict[str, str], values: dict[str, Any]) -> list[float]:
    """The accuracy of networks of these parameters, one from each of SEEDS."""
    found = []
    for seed in SEEDS:
        document = YAML(typ="safe").load(root / "params.yaml")
        for name, value in {**values, "mnist.train.seed": seed}.items():
            *sections, last = name.split(".")
            reduce(getitem, sections, document)[last] = value
        found.append(document)
    trained, _ = warm(root, known, found, AT_ONCE, "stages.mnist.search")
    return [trained[str(number)].epochs[-1]["accuracy"] for number in range(len(found))]


PARTS: dict[str, Callable[[Path], bool]] = {"speed": speed, "memory": memory, "halving": halving}


def main() -> None:
    """Run the parts that are named; all by default."""
    print(f"a fixed loop takes {yardstick():.3f} s before")
    missed = []
    for name in sys.argv[1:] or PARTS:
        with TemporaryDirectory() as folder:
            if not PARTS[name](Path(folder)):
                missed.append(name)
    print(f"a fixed loop takes {yardstick():.3f} s after; missed: {', '.join(missed) or 'nothing'}")
    sys.exit(bool(missed))


if __name__ == "__main__":
    main()
