"""A project whose stage can be searched: its loss is known, and it notes in a file what it trains."""

import json
from typing import Any

from tests.support.repos import Project

CODE = """
import json, os, pathlib, sys, time

LOG = pathlib.Path(os.environ["TRAINED"])


def load(params):
    return pathlib.Path("data.txt").read_text()


def train(data, params):
    params = params["train"]
    for epoch in range(1, params["epochs"] + 1):
        time.sleep(params["sleep"])
        with LOG.open("a") as file:
            file.write(f"{params['x']!r} {params['n']} {epoch} {os.getpid()}\\n")
        loss = (params["x"] - 0.3) ** 2 + abs(params["n"] - 7) + 1 / epoch
        if params["n"] == 13:
            loss = float("nan")
        yield {"loss": loss, "epoch": epoch}


if __name__ == "__main__":
    from ruamel.yaml import YAML
    params = YAML(typ="safe").load(pathlib.Path("params.yaml"))
    *_, last = train(load(params), params)
    pathlib.Path("metrics.json").write_text(json.dumps(last))
"""
SPACE = "train.x: {low: -1.0, high: 1.0}\ntrain.n: {low: 1, high: 16}\n"


def searched(project: Project, sleep: float = 0.0, epochs: int = 4) -> Project:
    """Make it: data that another stage makes, and a stage with a door."""
    project.environment["TRAINED"] = str(project.root.parent / "trained.log")
    params = f"train: {{x: 0.0, n: 3, epochs: {epochs}, sleep: {sleep}}}\n"
    project.write({"params.yaml": params, "door.py": CODE, "seed.txt": "1\n", "space.yaml": SPACE})
    data = {"cmd": "cp seed.txt data.txt", "deps": ["seed.txt"], "outs": ["data.txt"]}
    train = {
        "cmd": "python door.py",
        "deps": ["data.txt", "door.py"],
        "params": ["train"],
        "metrics": [{"metrics.json": {"cache": False}}],
        "meta": {"search": "door"},
    }
    project.pipeline({"data": data, "train": train})
    project.commit()
    return project


def line(*flags: str, population: int = 6, generations: int = 3) -> list[str]:
    """The command."""
    numbers = ["--population", str(population), "--generations", str(generations)]
    return ["search", "train", "space.yaml", "--metric", "loss", "--minimize", "--no-prefect", *numbers, *flags]


def search(project: Project, *flags: str, expect: int = 0, **numbers: int) -> dict[str, Any]:
    """What `gliaflow search --json` answers."""
    ended = project.gliaflow(*line("--json", *flags, **numbers), expect=expect)
    return json.loads(ended.stdout)  # type: ignore[no-any-return]


def trained(project: Project) -> list[list[str]]:
    """x, n, epoch and pid of each epoch that was trained."""
    path = project.root.parent / "trained.log"
    return [one.split() for one in path.read_text().splitlines()] if path.exists() else []


def facts(told: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What must be the same in two searches of the same seed."""
    return [(one["name"], one["values"], one["score"], one["epochs"]) for one in told["individuals"]]
